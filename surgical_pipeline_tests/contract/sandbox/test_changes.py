"""Changes through the control routes, seen through the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from surgical_pipeline.sandbox.control_client import SandboxControl, SandboxControlError
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.contract.sandbox.conftest import client_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUE, CHANGE = "/projects/4201/issues/12", "/projects/4201/merge_requests/35"


def test_a_new_title_is_seen_everywhere_and_moves_updated_at(api: httpx.Client, sandbox: RunningSandbox) -> None:
    before = api.get(ISSUE).json()
    sandbox.control.update_issue(12, title="Countdown goes on")
    after = api.get(ISSUE).json()
    assert after["title"] == "Countdown goes on"
    assert after["updated_at"] > before["updated_at"]
    newest = api.get("/projects/4201/issues", params={"order_by": "updated_at", "per_page": 1}).json()
    assert newest == [{name: after[name] for name in newest[0]}]
    assert [row["iid"] for row in api.get("/projects/4201/merge_requests/34/closes_issues").json()] == [12]
    assert api.get("/projects/4201/merge_requests/34/closes_issues").json()[0]["title"] == "Countdown goes on"


def test_updated_at_can_stay_or_be_set(api: httpx.Client, sandbox: RunningSandbox) -> None:
    before = api.get(CHANGE).json()["updated_at"]
    sandbox.control.update_merge_request(35, bump_updated_at=False, description="quiet")
    assert api.get(CHANGE).json()["updated_at"] == before
    sandbox.control.update_merge_request(35, updated_at="2026-10-01T12:00:00+02:00")
    assert api.get(CHANGE).json()["updated_at"] == "2026-10-01T10:00:00.000Z"


def test_two_changes_never_share_an_updated_at(sandbox: RunningSandbox) -> None:
    instants = [sandbox.control.update_issue(12, title=f"title {n}")["updated_at"] for n in range(5)]
    assert len(set(instants)) == 5
    assert instants == sorted(instants)


def test_closing_and_labelling_leave_events(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.update_issue(13, state="closed", labels=["type::bug", "priority::1"])
    issue = api.get("/projects/4201/issues/13").json()
    assert issue["state"] == "closed"
    assert issue["closed_at"] is not None
    assert issue["labels"] == ["priority::1", "type::bug"]
    states = [event["state"] for event in api.get("/projects/4201/issues/13/resource_state_events").json()]
    assert states == ["closed"]
    changed = api.get("/projects/4201/issues/13/resource_label_events").json()[-4:]
    assert {(event["action"], event["label"]["name"]) for event in changed} >= {
        ("add", "priority::1"),
        ("remove", "component::console"),
    }


def test_an_unknown_field_is_refused(sandbox: RunningSandbox) -> None:
    with pytest.raises(SandboxControlError, match="no field colour"):
        sandbox.control.update_issue(12, colour="red")


def test_an_issue_vanishes_with_everything_and_comes_back(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.delete_issue(12)
    assert api.get(ISSUE).status_code == 404
    assert api.get(f"{ISSUE}/discussions").status_code == 404
    assert api.get("/projects/4201/issues", params={"iids[]": 12}).json() == []
    assert api.get("/projects/4201/merge_requests/34/closes_issues").json() == []
    assert 12 not in [row["iid"] for row in api.get("/projects/4201/issues/13/links").json()]
    sandbox.control.restore_issue(12)
    assert api.get(ISSUE).json()["iid"] == 12


def test_a_merge_request_vanishes_and_comes_back(api: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.control.delete_merge_request(35)
    assert api.get(CHANGE).status_code == 404
    with pytest.raises(SandboxControlError):
        sandbox.control.delete_merge_request(35)
    sandbox.control.restore_merge_request(35)
    assert api.get(CHANGE).status_code == 200


def test_an_issue_made_confidential_is_hidden_from_the_guest(guest: httpx.Client, sandbox: RunningSandbox) -> None:
    assert guest.get(ISSUE).status_code == 200
    sandbox.control.update_issue(12, confidential=True)
    assert guest.get(ISSUE).status_code == 404


def test_notes_come_are_changed_and_go(api: httpx.Client, sandbox: RunningSandbox) -> None:
    count = api.get(ISSUE).json()["user_notes_count"]
    added = sandbox.control.add_note(12, "Is the replay in the regression set?", username="li.wei")
    reply = sandbox.control.add_note(12, "Yes.", discussion_id=added.discussion_id)
    thread = api.get(f"{ISSUE}/discussions/{added.discussion_id}").json()
    assert [note["body"] for note in thread["notes"]] == ["Is the replay in the regression set?", "Yes."]
    assert thread["individual_note"] is False
    assert api.get(ISSUE).json()["user_notes_count"] == count + 2
    sandbox.control.edit_note(reply.note["id"], "Yes, since today.")
    assert api.get(f"{ISSUE}/notes/{reply.note['id']}").json()["body"] == "Yes, since today."
    sandbox.control.delete_note(added.note["id"])
    sandbox.control.delete_note(reply.note["id"])
    assert api.get(f"{ISSUE}/discussions/{added.discussion_id}").status_code == 404
    assert api.get(ISSUE).json()["user_notes_count"] == count


def test_a_note_on_a_merge_request_may_be_internal(
    api: httpx.Client, guest: httpx.Client, sandbox: RunningSandbox
) -> None:
    added = sandbox.control.add_note(35, "not for guests", kind="merge_request", internal=True)
    assert api.get(f"{CHANGE}/notes/{added.note['id']}").status_code == 200
    assert guest.get(f"{CHANGE}/notes/{added.note['id']}").status_code == 404


def test_a_new_issue_gets_the_next_iid(api: httpx.Client, sandbox: RunningSandbox) -> None:
    last = max(row["iid"] for row in api.get("/projects/4201/issues", params={"per_page": 100}).json())
    created = sandbox.control.create_issue(title="Engine bell is dented", labels=["type::bug"])
    assert created["iid"] == last + 1
    listed = api.get("/projects/4201/issues", params={"iids[]": last + 1}).json()
    assert [row["title"] for row in listed] == ["Engine bell is dented"]
    other = sandbox.control.create_issue(project="acme/launchpad", title="Hose leaks")
    assert other["project_id"] == 4202


def test_a_reset_brings_every_byte_of_the_sample_back(api: httpx.Client, sandbox: RunningSandbox) -> None:
    paths = (ISSUE, f"{ISSUE}/discussions", "/projects/4201/issues?per_page=100", CHANGE)
    before = [api.get(path).content for path in paths]
    sandbox.control.update_issue(12, title="x", state="closed")
    sandbox.control.add_note(12, "y")
    sandbox.control.create_issue(title="z")
    sandbox.control.delete_merge_request(35)
    assert all(api.get(path).content != old for path, old in zip(paths, before, strict=True))
    sandbox.control.reset()
    assert [api.get(path).content for path in paths] == before


def test_two_sandboxes_share_a_sample_but_not_their_changes(api: httpx.Client) -> None:
    with RunningSandbox() as other, client_for(other, other.token) as other_api:
        assert other_api.get(ISSUE).content == api.get(ISSUE).content
        other.control.update_issue(12, title="only there")
        assert api.get(ISSUE).json()["title"] != "only there"


class Clock:
    """Ground time, moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(clock: Clock) -> Iterator[tuple[SandboxControl, httpx.Client]]:
    with RunningSandbox(clock=clock) as sandbox, client_for(sandbox, sandbox.token) as client:
        yield sandbox.control, client


def _updated_at(api: httpx.Client) -> str:
    payload: dict[str, Any] = api.get(ISSUE).json()
    return str(payload["updated_at"])


def test_notes_move_updated_at_once_in_sixty_seconds_and_their_deletion_never(
    timed: tuple[SandboxControl, httpx.Client], clock: Clock
) -> None:
    control, api = timed
    control.add_note(12, "first")
    assert _updated_at(api) == "2026-11-01T12:00:00.000Z"
    clock.now += timedelta(seconds=59)
    second = control.add_note(12, "second")
    assert second.note["created_at"] == "2026-11-01T12:00:59.000Z"
    assert _updated_at(api) == "2026-11-01T12:00:00.000Z"
    clock.now += timedelta(seconds=1)
    third = control.add_note(12, "third")
    assert _updated_at(api) == "2026-11-01T12:01:00.000Z"
    clock.now += timedelta(hours=1)
    control.delete_note(third.note["id"])
    assert _updated_at(api) == "2026-11-01T12:01:00.000Z"
    control.edit_note(second.note["id"], "edited", bump_updated_at=False)
    assert _updated_at(api) == "2026-11-01T12:01:00.000Z"


def test_an_emoji_counts_as_a_vote_and_leaves_updated_at(api: httpx.Client, sandbox: RunningSandbox) -> None:
    before = api.get(CHANGE).json()
    award = sandbox.control.add_award(35, kind="merge_request")
    after = api.get(CHANGE).json()
    assert (after["upvotes"], after["updated_at"]) == (before["upvotes"] + 1, before["updated_at"])
    assert award in api.get(f"{CHANGE}/award_emoji").json()
    sandbox.control.delete_award(35, award["id"], kind="merge_request")
    assert api.get(CHANGE).json() == before


def test_an_emoji_that_is_not_there_and_an_approver_who_is_nobody_are_refused(sandbox: RunningSandbox) -> None:
    with pytest.raises(SandboxControlError, match="no emoji 4"):
        sandbox.control.delete_award(12, 4)
    with pytest.raises(SandboxControlError, match="no user is called nobody"):
        sandbox.control.set_approvers(35, "nobody")


def test_a_project_made_anew_has_the_path_another_id_and_nothing_in_it(
    api: httpx.Client, guest: httpx.Client, sandbox: RunningSandbox
) -> None:
    before = api.get("/projects/acme%2Frocket").json()
    after = sandbox.control.recreate_project()
    assert after["id"] != before["id"]
    assert after["created_at"] > before["created_at"]
    assert after["web_url"] == before["web_url"]
    shown = api.get("/projects/acme%2Frocket").json()
    assert (shown["id"], shown["created_at"]) == (after["id"], after["created_at"])
    assert api.get("/projects/4201").status_code == 404
    assert api.get("/projects/4201/issues/1").status_code == 404
    assert api.get(f"/projects/{after['id']}/issues").json() == []
    assert guest.get(f"/projects/{after['id']}").status_code == 200
    assert after["id"] in [project["id"] for project in api.get("/projects").json()]
    sandbox.control.reset()
    assert api.get("/projects/acme%2Frocket").json() == before
