"""What a poll has to live with: caches, limits, older servers, replicas that lag behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from surgical_pipeline.sandbox.control_client import SandboxControlError
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.contract.sandbox.conftest import client_for
from surgical_pipeline_tests.hook_catcher import HookCatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    Validate = Callable[[str, Any], None]

ISSUE, CHANGE = "/projects/4201/issues/12", "/projects/4201/merge_requests/35"
CHANGES = "/projects/4201/merge_requests"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(clock: Clock) -> Iterator[RunningSandbox]:
    with RunningSandbox(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def timed_api(timed: RunningSandbox) -> Iterator[httpx.Client]:
    with client_for(timed, timed.token) as client:
        yield client


@pytest.mark.parametrize("path", [ISSUE, CHANGE])
def test_labels_alone_move_updated_at_once_in_sixty_seconds(
    timed: RunningSandbox, timed_api: httpx.Client, clock: Clock, path: str
) -> None:
    update = timed.control.update_issue if path == ISSUE else timed.control.update_merge_request
    iid = int(path.rpartition("/")[2])
    events = len(timed_api.get(f"{path}/resource_label_events", params={"per_page": 100}).json())
    before = timed_api.get(path).json()["labels"]
    update(iid, labels=[*before, "needs::decision"])
    assert timed_api.get(path).json()["updated_at"] == "2026-11-01T12:00:00.000Z"
    clock.now += timedelta(seconds=59)
    update(iid, labels=before)
    shown = timed_api.get(path).json()
    assert (shown["labels"], shown["updated_at"]) == (before, "2026-11-01T12:00:00.000Z")
    found = timed_api.get(f"{path}/resource_label_events", params={"per_page": 100}).json()
    assert [event["action"] for event in found[events:]] == ["add", "remove"]
    assert found[-1]["created_at"] == "2026-11-01T12:00:59.000Z"
    clock.now += timedelta(seconds=1)
    update(iid, labels=[])
    assert timed_api.get(path).json()["updated_at"] == "2026-11-01T12:01:00.000Z"


def test_labels_that_stay_the_same_change_nothing(timed: RunningSandbox, timed_api: httpx.Client) -> None:
    before = timed_api.get(ISSUE).json()
    with HookCatcher() as catcher:
        timed.control.hooks.add(catcher.url)
        timed.control.update_issue(12, labels=before["labels"][::-1])
        timed.control.hooks.wait_until_sent()
        assert catcher.caught == []
    assert timed_api.get(ISSUE).json() == before


def test_labels_beside_anything_else_and_on_demand_move_it_at_once(
    timed: RunningSandbox, timed_api: httpx.Client, clock: Clock
) -> None:
    timed.control.update_issue(12, title="first")
    clock.now += timedelta(seconds=5)
    timed.control.update_issue(12, title="second", labels=[])
    assert timed_api.get(ISSUE).json()["updated_at"] == "2026-11-01T12:00:05.000Z"
    clock.now += timedelta(seconds=5)
    timed.control.update_issue(12, labels=["type::bug"], bump_updated_at=True)
    assert timed_api.get(ISSUE).json()["updated_at"] == "2026-11-01T12:00:10.000Z"
    clock.now += timedelta(hours=1)
    timed.control.update_issue(12, labels=[], bump_updated_at=False)
    assert timed_api.get(ISSUE).json()["updated_at"] == "2026-11-01T12:00:10.000Z"


def test_a_row_of_a_merge_request_list_is_eight_hours_old_unless_labels_are_asked_for_in_full(
    timed: RunningSandbox, timed_api: httpx.Client, clock: Clock
) -> None:
    def labels(**params: str) -> list[Any]:
        query: dict[str, Any] = {"iids[]": 35} | params
        [row] = timed_api.get(CHANGES, params=query).json()
        return list(row["labels"])

    timed.control.update_merge_request(35, title="new", labels=["type::bug"])
    assert labels() == ["type::bug"]
    clock.now += timedelta(seconds=30)
    timed.control.update_merge_request(35, labels=["type::docs"])
    assert timed_api.get(CHANGE).json()["labels"] == ["type::docs"]
    assert [label["name"] for label in labels(with_labels_details="true")] == ["type::docs"]
    assert labels() == ["type::bug"]
    clock.now += timedelta(hours=8)
    assert labels() == ["type::docs"]
    timed.control.update_merge_request(35, labels=[])  # that late it moves updated_at, and with it the row
    assert labels() == []


@pytest.mark.parametrize("path", ["/projects/4201/issues", CHANGES, "/groups/acme/issues"])
def test_page_numbers_end_at_fifty_thousand_rows(api: httpx.Client, path: str) -> None:
    assert api.get(path, params={"per_page": 100, "page": 500}).json() == []
    answer = api.get(path, params={"per_page": 100, "page": 501})
    assert answer.status_code == 405
    assert "maximum allowed offset of 50000" in answer.json()["error"]
    assert "keyset pagination" in answer.json()["error"]


def test_an_older_gitlab_ignores_or_refuses_keyset_pages(api: httpx.Client, sandbox: RunningSandbox) -> None:
    params: dict[str, Any] = {"pagination": "keyset", "order_by": "updated_at", "per_page": 10}
    sandbox.control.set_behaviour(keyset="ignored")
    assert api.get("/projects/4201/issues", params=params).headers["x-total"] == "120"
    sandbox.control.set_behaviour(keyset=False)
    for path in ("/projects/4201/issues", CHANGES, "/groups/acme/issues"):
        answer = api.get(path, params=params)
        assert (answer.status_code, answer.json()) == (
            400,
            {"error": "pagination does not have a valid value"},
        )
    sandbox.control.reset()
    assert "x-total" not in api.get("/projects/4201/issues", params=params).headers


def test_a_replica_shows_single_answers_lists_and_dependents_of_seconds_ago(
    timed: RunningSandbox, timed_api: httpx.Client, clock: Clock
) -> None:
    timed.control.set_behaviour(replica_lag_seconds=20)
    before = timed_api.get(ISSUE).json()
    timed.control.update_issue(12, title="new")
    note = timed.control.add_note(12, "new").note
    created = timed.control.create_issue(title="newer")
    timed.control.delete_issue(13)
    paths = ("/projects/4201/issues/13", f"/projects/4201/issues/{created['iid']}", f"{ISSUE}/notes/{note['id']}")
    clock.now += timedelta(seconds=19)
    assert timed_api.get(ISSUE).json() == before
    assert [timed_api.get(path).status_code for path in paths] == [200, 404, 404]
    newest: dict[str, Any] = {"order_by": "updated_at", "per_page": 2}
    assert before["title"] not in [
        row["title"] for row in timed_api.get("/projects/4201/issues", params=newest).json()
    ]
    clock.now += timedelta(seconds=1)
    assert timed_api.get(ISSUE).json()["title"] == "new"
    assert [timed_api.get(path).status_code for path in paths] == [404, 200, 200]
    titles = [row["title"] for row in timed_api.get("/projects/4201/issues", params=newest).json()]
    assert titles == ["newer", "new"]


def test_a_replica_shows_each_of_several_states_in_turn(
    timed: RunningSandbox, timed_api: httpx.Client, clock: Clock
) -> None:
    timed.control.set_behaviour(replica_lag_seconds=10)
    for number in range(6):
        timed.control.update_issue(12, title=f"title {number}")
        clock.now += timedelta(seconds=5)
    seen = []
    for _ in range(3):
        seen.append(timed_api.get(ISSUE).json()["title"])
        clock.now += timedelta(seconds=5)
    assert seen == ["title 4", "title 5", "title 5"]


def test_every_second_answer_may_come_from_a_replica(timed: RunningSandbox, timed_api: httpx.Client) -> None:
    timed.control.set_behaviour(replica_lag_seconds=10, replica_every=2)
    before = timed_api.get(ISSUE).json()["title"]
    timed.control.update_issue(12, title="new")
    seen = [timed_api.get(ISSUE).json()["title"] for _ in range(4)]
    assert sorted(seen) == sorted(["new", "new", before, before])
    assert seen[0] != seen[1]


def test_a_new_merge_request_is_prepared_later_and_updated_at_does_not_tell(
    timed: RunningSandbox, timed_api: httpx.Client, clock: Clock, validate: Validate
) -> None:
    created = timed.control.create_merge_request(title="Draft: tighten the hose", labels=["type::bug"])
    path = f"{CHANGES}/{created['iid']}"
    [listed] = timed_api.get(CHANGES, params={"iids[]": created["iid"]}).json()
    single = timed_api.get(path).json()
    validate("merge_request", listed)
    validate("merge_request", single | {"changes_count": ""})  # the schema is from before it could be null
    assert single == created
    assert (single["prepared_at"], single["diff_refs"], single["draft"]) == (None, None, True)
    assert listed == {name: single[name] for name in listed}
    assert timed_api.get(f"{path}/diffs").json() == []
    assert len(timed_api.get(f"{path}/commits").json()) == 1
    assert timed_api.get(f"{path}/discussions").json() == []
    clock.now += timedelta(minutes=30)
    timed.control.prepare(created["iid"])
    after = timed_api.get(path).json()
    validate("merge_request", after)
    assert after["prepared_at"] == "2026-11-01T12:30:00.000Z"
    assert after["diff_refs"]["head_sha"] == after["sha"]
    assert after["updated_at"] == created["updated_at"] == "2026-11-01T12:00:00.000Z"
    assert len(timed_api.get(f"{path}/diffs").json()) == 1
    with pytest.raises(SandboxControlError, match="is prepared already"):
        timed.control.prepare(created["iid"])


def test_a_project_is_not_created_twice_and_needs_a_group(sandbox: RunningSandbox) -> None:
    with pytest.raises(SandboxControlError, match="there is a project acme/rocket"):
        sandbox.control.create_project("acme/rocket")
    with pytest.raises(ValueError, match="pattern"):
        sandbox.control.create_project("rocket")


def test_the_largest_page_can_be_that_of_a_smaller_gitlab(timed: RunningSandbox, timed_api: httpx.Client) -> None:
    timed.control.set_behaviour(largest_page=2)
    first = timed_api.get(CHANGES, params={"per_page": 100})
    assert len(first.json()) == 2
    assert first.headers["x-per-page"] == "2"
    second = timed_api.get(CHANGES, params={"per_page": 100, "page": 2}).json()
    assert not {row["iid"] for row in first.json()} & {row["iid"] for row in second}


def test_page_numbers_can_end_after_a_few_rows(timed: RunningSandbox, timed_api: httpx.Client) -> None:
    timed.control.set_behaviour(largest_page=2, largest_offset=4)
    assert len(timed_api.get(CHANGES, params={"page": 2}).json()) == 2
    refused = timed_api.get(CHANGES, params={"page": 3})
    assert (refused.status_code, "maximum allowed offset of 4" in refused.text) == (405, True)
