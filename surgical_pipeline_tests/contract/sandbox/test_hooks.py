"""What hooks say: one delivery for each edit, with GitLab's body and headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import gitlab
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from surgical_pipeline.sandbox.control_client import SandboxControlError
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.hook_catcher import HookCatcher
from surgical_pipeline_tests.unit.gitlab.corpus import payloads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_LONGER_SENT = {"assignee", "position"}
SIGNING = "whsec_bWlzc2lvbiBjb250cm9sIHNlY3JldCBrZXkgMDE="


@pytest.fixture
def catcher() -> Iterator[HookCatcher]:
    with HookCatcher() as catcher:
        yield catcher


@pytest.fixture
def told(sandbox: RunningSandbox, catcher: HookCatcher) -> Iterator[HookCatcher]:
    """A receiver for a hook of acme/rocket with every event ticked."""
    sandbox.control.hooks.add(catcher.url)
    yield catcher
    sandbox.control.hooks.clear()


def only(catcher: HookCatcher) -> dict[str, Any]:
    [caught] = catcher.wait_for(1)
    return caught.body


def test_an_edit_says_what_changed_from_what_to_what(sandbox: RunningSandbox, told: HookCatcher) -> None:
    before = sandbox.control.update_issue(12, title="Before")
    first = told.wait_for(1)[0].body
    assert first["object_attributes"]["action"] == "update"
    sandbox.control.update_issue(12, title="After", labels=["type::bug"])
    body = told.wait_for(2)[1].body
    assert (body["object_kind"], body["event_type"]) == ("issue", "issue")
    assert body["object_attributes"]["iid"] == 12
    assert body["project"]["id"] == 4201
    assert body["changes"]["title"] == {"previous": "Before", "current": "After"}
    assert [label["title"] for label in body["changes"]["labels"]["current"]] == ["type::bug"]
    assert [label["title"] for label in body["changes"]["labels"]["previous"]] == before["labels"]
    assert [label["title"] for label in body["labels"]] == ["type::bug"]
    assert {"previous", "current"} == set(body["changes"]["updated_at"])


@pytest.mark.parametrize(
    ("kind", "states", "actions"),
    [
        ("issue", ["closed", "opened"], ["close", "reopen"]),
        ("merge_request", ["closed", "opened", "merged"], ["close", "reopen", "merge"]),
    ],
)
def test_states_have_their_own_actions(
    sandbox: RunningSandbox, told: HookCatcher, kind: str, states: list[str], actions: list[str]
) -> None:
    update = sandbox.control.update_issue if kind == "issue" else sandbox.control.update_merge_request
    update(13 if kind == "issue" else 35, state="opened")
    sandbox.control.hooks.wait_until_sent()
    told.caught.clear()
    for number, state in enumerate(states, start=1):
        update(13 if kind == "issue" else 35, state=state)
        told.wait_for(number)  # there is no order among deliveries that are under way together
    assert [caught.body["object_attributes"]["action"] for caught in told.caught] == actions
    assert [caught.body["object_attributes"]["state"] for caught in told.caught] == states
    assert all("state_id" in caught.body["changes"] for caught in told.caught)


def test_what_is_opened_is_told(sandbox: RunningSandbox, told: HookCatcher) -> None:
    issue = sandbox.control.create_issue(title="Hose leaks")
    change = sandbox.control.create_merge_request(title="Tighten the hose")
    first, second = sorted((caught.body for caught in told.wait_for(2)), key=lambda body: str(body["object_kind"]))
    for body, entity in ((first, issue), (second, change)):
        assert body["object_attributes"]["action"] == "open"
        assert body["object_attributes"]["iid"] == entity["iid"]
        assert body["changes"]["title"] == {"previous": None, "current": entity["title"]}


@pytest.mark.parametrize("kind", ["issue", "merge_request"])
def test_notes_are_told_when_added_and_edited_but_not_when_deleted(
    sandbox: RunningSandbox, told: HookCatcher, kind: Any
) -> None:
    added = sandbox.control.add_note(35 if kind == "merge_request" else 12, "Looks good", kind=kind)
    told.wait_for(1)
    sandbox.control.edit_note(added.note["id"], "Looks better")
    told.wait_for(2)
    sandbox.control.delete_note(added.note["id"])
    sandbox.control.hooks.wait_until_sent()
    assert len(told.caught) == 2
    bodies = [caught.body for caught in told.caught]
    assert [body["object_attributes"]["action"] for body in bodies] == ["create", "update"]
    assert [body["object_attributes"]["note"] for body in bodies] == ["Looks good", "Looks better"]
    for body in bodies:
        assert body["object_attributes"]["id"] == added.note["id"]
        assert body["object_attributes"]["discussion_id"] == added.discussion_id
        assert body[kind]["iid"] == (35 if kind == "merge_request" else 12)
        assert body["project_id"] == 4201


def test_emoji_come_and_go_and_carry_an_issue_as_a_work_item(sandbox: RunningSandbox, told: HookCatcher) -> None:
    award = sandbox.control.add_award(12)
    told.wait_for(1)
    sandbox.control.delete_award(12, award["id"])
    told.wait_for(2)
    sandbox.control.add_award(35, kind="merge_request")
    first, second, third = (caught.body for caught in told.wait_for(3))
    assert [first["event_type"], second["event_type"], third["event_type"]] == ["award", "revoke", "award"]
    assert "issue" not in first
    assert first["work_item"]["iid"] == second["work_item"]["iid"] == 12
    assert third["merge_request"]["iid"] == 35
    assert {caught.headers["x-gitlab-event"] for caught in told.caught} == {"Emoji Hook"}


def test_who_approves_and_who_no_longer_does_is_told(sandbox: RunningSandbox, told: HookCatcher) -> None:
    sandbox.control.set_approvers(35)
    sandbox.control.hooks.wait_until_sent()
    told.caught.clear()
    sandbox.control.set_approvers(35, "li.wei")
    assert only(told)["object_attributes"]["action"] == "approved"
    sandbox.control.set_approvers(35)
    body = told.wait_for(2)[1].body
    assert (body["object_attributes"]["action"], body["user"]["username"]) == ("unapproved", "li.wei")


def test_what_gitlab_does_not_tell_is_not_told(sandbox: RunningSandbox, told: HookCatcher) -> None:
    iid = sandbox.control.create_merge_request(title="Tighten the hose")["iid"]
    told.wait_for(1)
    sandbox.control.prepare(iid)
    sandbox.control.delete_issue(12)
    sandbox.control.restore_issue(12)
    with pytest.raises(SandboxControlError):
        sandbox.control.update_issue(12, colour="red")
    sandbox.control.update_issue(1, project="acme/launchpad", title="of another project")
    sandbox.control.hooks.wait_until_sent()
    assert len(told.caught) == 1


def test_what_is_confidential_has_its_own_tick(sandbox: RunningSandbox, catcher: HookCatcher) -> None:
    sandbox.control.hooks.add(catcher.url, events=("issues", "note"))
    sandbox.control.add_note(12, "for us alone", internal=True)
    sandbox.control.update_issue(13, confidential=True)
    sandbox.control.hooks.wait_until_sent()
    assert catcher.caught == []
    sandbox.control.hooks.clear()
    sandbox.control.hooks.add(catcher.url, events=("confidential_issues", "confidential_note"))
    sandbox.control.add_note(12, "for us alone", internal=True)
    sandbox.control.update_issue(13, title="Still secret")
    found = {caught.headers["x-gitlab-event"]: caught.body["event_type"] for caught in catcher.wait_for(2)}
    assert found == {
        "Confidential Note Hook": "confidential_note",
        "Confidential Issue Hook": "confidential_issue",
    }


def test_a_task_comes_as_a_work_item_under_the_name_of_an_issue(
    sandbox: RunningSandbox, told: HookCatcher
) -> None:
    sandbox.control.create_issue(title="Count the bolts", issue_type="key_result", type="KEY_RESULT")
    [caught] = told.wait_for(1)
    assert caught.headers["x-gitlab-event"] == "Issue Hook"
    assert (caught.body["object_kind"], caught.body["object_attributes"]["type"]) == ("work_item", "Key Result")
    assert "/-/work_items/" in caught.body["object_attributes"]["url"]


def test_a_hook_with_a_secret_sends_it_and_one_without_does_not(
    sandbox: RunningSandbox, catcher: HookCatcher
) -> None:
    sandbox.control.hooks.add(catcher.url, token="t0p")
    sandbox.control.hooks.add(catcher.url)
    sandbox.control.update_issue(12, title="x")
    tokens = [caught.headers.get("x-gitlab-token") for caught in catcher.wait_for(2)]
    assert sorted(tokens, key=str) == [None, "t0p"]


def test_a_signature_is_one_of_standard_webhooks(sandbox: RunningSandbox, catcher: HookCatcher) -> None:
    """Verified by the library that the scheme's authors publish."""
    sandbox.control.hooks.add(catcher.url, signing_token=SIGNING)
    sandbox.control.update_issue(12, title="Überprüft ✓")
    [caught] = catcher.wait_for(1)
    assert Webhook(SIGNING).verify(caught.content, caught.headers)["object_kind"] == "issue"
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(SIGNING).verify(caught.content + b" ", caught.headers)


def test_a_signature_with_a_wrong_clock_is_refused_for_its_age(
    sandbox: RunningSandbox, catcher: HookCatcher
) -> None:
    sandbox.control.hooks.add(catcher.url, signing_token=SIGNING, timestamp_offset_seconds=-600)
    sandbox.control.update_issue(12, title="late")
    [caught] = catcher.wait_for(1)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SIGNING).verify(caught.content, caught.headers)


@pytest.mark.parametrize("token", ["bWlzc2lvbg==", "whsec_", "whsec_not base64"])
def test_a_signing_token_that_holds_no_key_is_refused(sandbox: RunningSandbox, token: str) -> None:
    with pytest.raises(ValueError, match="a signing token is whsec_ and base64"):
        sandbox.control.hooks.add("http://127.0.0.1:9/", signing_token=token)


def test_only_the_key_names_a_delivery(sandbox: RunningSandbox, catcher: HookCatcher) -> None:
    """The hooks of one edit share the event's UUID, and the webhook's UUID is new each time."""
    for _ in range(2):
        sandbox.control.hooks.add(catcher.url, signing_token=SIGNING)
    sandbox.control.update_issue(12, title="one")
    catcher.wait_for(2)
    sandbox.control.update_issue(12, title="two")
    headers = [caught.headers for caught in catcher.wait_for(4)]
    assert len({header["idempotency-key"] for header in headers}) == 4
    assert len({header["x-gitlab-webhook-uuid"] for header in headers}) == 4
    assert len({header["x-gitlab-event-uuid"] for header in headers}) == 2
    assert all(header["webhook-id"] == header["idempotency-key"] for header in headers)
    assert {header["x-gitlab-instance"] for header in headers} == {"https://gitlab.acme.example"}


def test_a_group_hook_tells_of_its_subgroups_and_a_system_hook_of_merge_requests_and_projects(
    sandbox: RunningSandbox, catcher: HookCatcher
) -> None:
    created = sandbox.control.create_project("acme/avionics/sensors")
    with HookCatcher() as system:
        sandbox.control.hooks.add(catcher.url, kind="group", group="acme")
        sandbox.control.hooks.add(system.url, kind="system")
        sandbox.control.create_issue(project="acme/avionics/sensors", title="Drift")
        sandbox.control.update_merge_request(1, project="acme/launchpad", title="Clamp")
        sandbox.control.create_project("acme/avionics/radios")
        sandbox.control.hooks.wait_until_sent()
        of_group = {(caught.body["project"]["id"], caught.body["object_kind"]) for caught in catcher.caught}
        assert of_group == {(created["id"], "issue"), (4202, "merge_request")}
        of_system = {caught.body.get("object_kind") or caught.body["event_name"] for caught in system.caught}
        assert of_system == {"merge_request", "project_create"}
        assert {caught.headers["x-gitlab-event"] for caught in system.caught} == {"System Hook"}


@pytest.mark.parametrize(
    ("style", "shape"),
    [
        ("utc", r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$"),
        ("iso", r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"),
        ("offset", r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d -0700$"),
    ],
)
def test_instants_come_in_each_form_that_hooks_use(
    sandbox: RunningSandbox, catcher: HookCatcher, style: Any, shape: str
) -> None:
    sandbox.control.hooks.add(catcher.url, time_style=style)
    sandbox.control.update_issue(12, title="x")
    body = only(catcher)
    assert re.match(shape, body["object_attributes"]["updated_at"])
    assert re.match(shape, body["changes"]["updated_at"]["current"])


def test_bodies_have_what_every_real_one_has(
    sandbox: RunningSandbox, told: HookCatcher, gitlab_payloads: Path
) -> None:
    sandbox.control.update_issue(12, title="x", labels=["type::bug"])
    sandbox.control.update_merge_request(35, title="x", labels=["type::bug"])
    sandbox.control.add_note(12, "on an issue")
    sandbox.control.add_note(35, "on a merge request", kind="merge_request")
    for body in (caught.body for caught in told.wait_for(4)):
        real = [one for one in payloads(gitlab_payloads, "webhook") if _same_kind(one, body)]
        assert real
        _has_shape_of_all(real, body, where=body["object_kind"])


def _same_kind(real: dict[str, Any], body: dict[str, Any]) -> bool:
    about = [name for name in ("issue", "merge_request") if name in body]
    return real["object_kind"] == body["object_kind"] and all(name in real for name in about)


def _has_shape_of_all(real: list[dict[str, Any]], ours: dict[str, Any], *, where: str) -> None:
    """Every name that all real bodies have; a level down, too."""
    shared = set.intersection(*({name.strip() for name in one} for one in real)) - NO_LONGER_SENT
    assert shared <= set(ours), f"{where} lacks {shared - set(ours)}"
    for name in shared - {"changes", "last_commit", "repository"}:
        if all(isinstance(one.get(name), dict) for one in real):
            _has_shape_of_all([one[name] for one in real], ours[name], where=f"{where}.{name}")


def test_the_button_test_sends_a_real_entity_without_an_action(
    sandbox: RunningSandbox, catcher: HookCatcher
) -> None:
    hook = sandbox.control.hooks.add(catcher.url, events=())
    buttons: tuple[Literal["issues", "merge_requests", "note"], ...] = ("issues", "merge_requests", "note")
    for number, event in enumerate(buttons, start=1):
        sandbox.control.hooks.test(hook.hook_id, event)
        body = catcher.wait_for(number)[-1].body
        assert "action" not in body["object_attributes"]
        assert body["project"]["id"] == 4201
    assert [caught.body["object_kind"] for caught in catcher.caught] == ["issue", "merge_request", "note"]


def test_what_a_hook_names_can_be_read_by_another_client(
    sandbox: RunningSandbox, told: HookCatcher, gl: gitlab.Gitlab
) -> None:
    added = sandbox.control.add_note(12, "Read me back")
    body = only(told)
    issue = gl.projects.get(body["project_id"]).issues.get(body["issue"]["iid"])
    note = issue.notes.get(body["object_attributes"]["id"])
    assert (note.body, note.id) == ("Read me back", added.note["id"])
