"""The edits that tests of events make at random."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.contract.sandbox.conftest import client_for
from surgical_pipeline_tests.random_edits import Edit, RandomEdits

if TYPE_CHECKING:
    import httpx


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def edited(seed: int, *, count: int = 150, deletions: bool = False) -> tuple[list[Edit], list[Any], RandomEdits]:
    """What was made, and what the sandbox shows after it."""
    clock = Clock()
    with RunningSandbox(clock=clock) as sandbox, client_for(sandbox, sandbox.token) as api:
        edits = RandomEdits(sandbox.control, seed, deletions=deletions, clock=clock)
        for _ in range(count):
            edits.make(1)
            clock.now += timedelta(seconds=2)
        return list(edits.made), _shown(api), edits


def _shown(api: httpx.Client) -> list[Any]:
    paths = ("/projects/4201/issues", "/projects/4201/merge_requests", "/projects/4201/issues/12/discussions")
    return [api.get(path, params={"per_page": 100, "with_labels_details": "true"}).json() for path in paths]


def test_the_same_seed_makes_the_same_edits_and_another_seed_others() -> None:
    made, shown, _ = edited(1)
    again, shown_again, _ = edited(1)
    other, shown_other, _ = edited(2)
    assert made == again
    assert shown == shown_again
    assert made != other
    assert shown != shown_other


def test_every_sort_of_edit_is_made() -> None:
    _, _, edits = edited(3, count=200, deletions=True)
    assert set(edits.counts()) == {
        "retitle",
        "relabel",
        "close_or_reopen",
        "note",
        "edit_note",
        "delete_note",
        "create_issue",
        "create_merge_request",
        "emoji",
        "delete_issue",
    }
    assert len(edits.made) == 200
    assert len(edits.deleted_notes) == edits.counts()["delete_note"]
    assert len(edits.deleted_issues) == edits.counts()["delete_issue"]


def test_what_nothing_tells_of_is_done_only_to_what_was_updated_a_moment_ago() -> None:
    clock = Clock()
    with RunningSandbox(clock=clock) as timed, client_for(timed, timed.token) as api:
        edits = RandomEdits(timed.control, 5, clock=clock)
        seen = 0
        for _ in range(150):
            [edit] = edits.make(1)
            if edit.what in ("delete_note", "emoji"):
                entity = api.get(f"/projects/4201/{edit.kind}s/{edit.iid}").json()
                assert clock.now - datetime.fromisoformat(entity["updated_at"]) < timedelta(seconds=55)
                seen += 1
            clock.now += timedelta(seconds=7)
        assert seen > 5
