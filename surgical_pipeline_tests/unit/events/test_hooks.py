import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.events.event import GitLabEvent, Ignored
from surgical_pipeline.events.hooks import Refused, read_hook, read_time

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ISSUE, MERGE_REQUEST = EntityType.ISSUE, EntityType.MERGE_REQUEST
PROJECT = {"id": 5, "path_with_namespace": "acme/rocket"}


def read(hook: Any, headers: Mapping[str, str] | None = None) -> GitLabEvent | Ignored | Refused:
    body = hook if isinstance(hook, bytes) else json.dumps(hook).encode()
    return read_hook(headers or {}, body, received_at=NOW, new_key=lambda: "fresh")


def event_of(hook: Any, headers: Mapping[str, str] | None = None) -> GitLabEvent:
    found = read(hook, headers)
    assert isinstance(found, GitLabEvent), found
    return found


def hook_of(kind: str, *, attributes: Mapping[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    return {"object_kind": kind, "project": PROJECT, "object_attributes": attributes or {}, **parts}


def ignored(hook: Any) -> str:
    found = read(hook)
    assert isinstance(found, Ignored), found
    return found.reason


def test_an_event_says_what_changed_when_and_where() -> None:
    hook = hook_of("issue", attributes={"iid": 12, "action": "update", "updated_at": "2026-06-30T10:00:00Z"})
    assert event_of(hook, {"webhook-id": "delivery-1"}) == GitLabEvent(
        key="delivery-1",
        kind="issue",
        project_id=5,
        project_path="acme/rocket",
        entity=EntityKey(ISSUE, 12),
        received_at=NOW,
        occurred_at=datetime(2026, 6, 30, 10, tzinfo=UTC),
    )


NOTE_ON_ISSUE = {"noteable_type": "Issue", "id": 99}


@pytest.mark.parametrize(
    ("hook", "entity"),
    [
        (hook_of("issue", attributes={"iid": 7}), EntityKey(ISSUE, 7)),
        (hook_of("issue", event_type="confidential_issue", attributes={"iid": 7}), EntityKey(ISSUE, 7)),
        (hook_of("issue", attributes={"iid": 7, "type": "Requirement"}), EntityKey(ISSUE, 7)),
        (hook_of("work_item", attributes={"iid": 7, "type": "Task"}), EntityKey(ISSUE, 7)),
        (hook_of("work_item", attributes={"iid": 7, "type": "Incident"}), EntityKey(ISSUE, 7)),
        (hook_of("work_item", attributes={"iid": 7, "type": "A type to come"}), EntityKey(ISSUE, 7)),
        (hook_of("merge_request", attributes={"iid": 8}), EntityKey(MERGE_REQUEST, 8)),
        (hook_of("merge_request", event_type="merge_request", attributes={"iid": 8}), EntityKey(MERGE_REQUEST, 8)),
        (hook_of("note", attributes=NOTE_ON_ISSUE, issue={"iid": 7}), EntityKey(ISSUE, 7)),
        (
            hook_of("note", event_type="confidential_note", attributes=NOTE_ON_ISSUE, issue={"iid": 7}),
            EntityKey(ISSUE, 7),
        ),
        (hook_of("note", attributes={"noteable_type": "WorkItem"}, work_item={"iid": 7}), EntityKey(ISSUE, 7)),
        (hook_of("note", attributes={"noteable_type": "WorkItem"}, issue={"iid": 7}), EntityKey(ISSUE, 7)),
        (
            hook_of("note", attributes={"noteable_type": "MergeRequest"}, merge_request={"iid": 8}),
            EntityKey(MERGE_REQUEST, 8),
        ),
        (hook_of("emoji", event_type="award", work_item={"iid": 7}), EntityKey(ISSUE, 7)),
        (hook_of("emoji", event_type="revoke", issue={"iid": 7}, note={"id": 1}), EntityKey(ISSUE, 7)),
        (hook_of("emoji", event_type="award", merge_request={"iid": 8}), EntityKey(MERGE_REQUEST, 8)),
    ],
)
def test_every_kind_that_names_an_issue_or_merge_request_is_an_event(
    hook: dict[str, Any], entity: EntityKey
) -> None:
    assert event_of(hook).entity == entity


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        (hook_of("push"), "the hook works, but push events ask for nothing here"),
        (hook_of("pipeline"), "the hook works, but pipeline"),
        (hook_of("something new"), "none that asks for anything"),
        (
            hook_of("note", attributes={"noteable_type": "Commit"}, commit={"id": "abc"}),
            "a note on something else",
        ),
        (hook_of("note", attributes={"noteable_type": "Snippet"}), "a note on something else"),
        (hook_of("note", attributes={"noteable_type": ["Issue"]}), "a note on something else"),
        (hook_of("emoji", commit={"id": "abc"}), "an emoji on something else"),
        ({"object_kind": "work_item", "project": None, "object_attributes": {"iid": 3, "type": "Epic"}}, "epic"),
        (
            {"object_kind": "issue", "project": None, "project_id": None, "object_attributes": {"iid": 3}},
            "belongs to no project",
        ),
        ({"event_name": "project_rename", "project_id": 74}, "a system hook"),
        ({"text": "an issue changed"}, "custom webhook template"),
        (["an issue changed"], "custom webhook template"),
        ("an issue changed", "custom webhook template"),
        (12, "custom webhook template"),
        (None, "custom webhook template"),
    ],
)
def test_what_asks_for_nothing_is_ignored_with_its_reason(hook: Any, reason: str) -> None:
    assert reason in ignored(hook)


@pytest.mark.parametrize("iid", [None, 0, -7, True, "7", 7.0, 2**31, 2**63, 10**400, [7], {"iid": 7}])
def test_an_iid_that_is_none_is_ignored(iid: Any) -> None:
    assert "names no issue by an IID" in ignored(hook_of("issue", attributes={"iid": iid}))


@pytest.mark.parametrize("project_id", [0, -5, True, "5", 5.0, 2**63, 10**400, [5]])
def test_a_project_id_that_is_none_is_ignored(project_id: Any) -> None:
    hook = hook_of("issue", attributes={"iid": 7}) | {"project": {"id": project_id}}
    assert "names no project by its id" in ignored(hook)


def test_the_largest_ids_are_taken() -> None:
    hook = hook_of("issue", attributes={"iid": 2**31 - 1}) | {"project": {"id": 2**63 - 1}}
    event = event_of(hook)
    assert (event.project_id, event.entity.iid) == (2**63 - 1, 2**31 - 1)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5_000, b"<xml/>", b"a=1&b=2"])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert read(body) == Refused("the body is not JSON")


def test_a_reason_repeats_nothing_of_the_body() -> None:
    spoken = [
        read({"object_kind": "s3cret"}),
        read({"object_kind": "note", "object_attributes": {"noteable_type": "s3cret"}}),
        read({"object_kind": "issue", "object_attributes": {"iid": "s3cret"}}),
        read({"object_kind": "issue", "project": "s3cret", "object_attributes": {"iid": 1}}),
        read(b"s3cret"),
    ]
    assert not [one for one in spoken if isinstance(one, GitLabEvent) or "s3cret" in one.reason]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"project": {"id": 5}, "project_id": 6}, 5),
        ({"project": {"name": "an old hook"}, "project_id": 6}, 6),
        ({"project": {"name": "an older one"}, "object_attributes": {"iid": 7, "project_id": 14}}, 14),
    ],
)
def test_the_project_is_found_where_old_and_new_hooks_name_it(parts: dict[str, Any], expected: int) -> None:
    assert event_of(hook_of("issue", attributes={"iid": 7}) | parts).project_id == expected


def test_a_merge_request_from_a_fork_belongs_to_its_target() -> None:
    attributes = {"iid": 7, "project_id": 15, "source_project_id": 15, "target_project_id": 14}
    assert event_of({"object_kind": "merge_request", "object_attributes": attributes}).project_id == 14


@pytest.mark.parametrize(
    "path", [None, 5, "", "rocket", "5", "a/../b", "a/b\n", "a b/c", "\ud800/x", "x/" * 9_000]
)
def test_a_path_that_is_none_is_left_out(path: Any) -> None:
    hook = hook_of("issue", attributes={"iid": 7}) | {"project": {"id": 5, "path_with_namespace": path}}
    assert event_of(hook).project_path is None


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"webhook-id": "w", "idempotency-key": "i"}, "w"),
        ({"idempotency-key": "i"}, "i"),
        ({"x-gitlab-event-uuid": "shared", "x-gitlab-webhook-uuid": "new"}, "fresh"),
        ({"webhook-id": "", "idempotency-key": "i"}, "i"),
        ({"webhook-id": "x" * 256}, "fresh"),
        ({"webhook-id": "w\xe4"}, "fresh"),
        ({"webhook-id": "two words"}, "fresh"),
    ],
)
def test_the_key_is_the_deliverys_own(headers: dict[str, str], key: str) -> None:
    assert event_of(hook_of("issue", attributes={"iid": 7}), headers).key == key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2015-05-17T17:06:40Z", datetime(2015, 5, 17, 17, 6, 40, tzinfo=UTC)),
        ("2016-01-04T15:31:46.176Z", datetime(2016, 1, 4, 15, 31, 46, 176_000, tzinfo=UTC)),
        ("2015-05-17 17:06:40 UTC", datetime(2015, 5, 17, 17, 6, 40, tzinfo=UTC)),
        ("2015-05-17 17:06:40 -0700", datetime(2015, 5, 18, 0, 6, 40, tzinfo=UTC)),
        ("2014-02-27T10:06:20+02:00", datetime(2014, 2, 27, 8, 6, 20, tzinfo=UTC)),
        ("yesterday", None),
        ("2015-05-17 17:06:40", None),
        ("2015-13-45T00:00:00Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        (None, None),
        (1_431_882_400, None),
        ({"at": "2015"}, None),
    ],
)
def test_times_are_read_in_every_form_that_gitlab_writes(text: object, expected: datetime | None) -> None:
    assert read_time(text) == expected


def test_a_time_that_cannot_be_read_is_no_reason_to_refuse() -> None:
    assert event_of(hook_of("issue", attributes={"iid": 7, "updated_at": "soon"})).occurred_at is None


def test_every_real_hook_gives_an_event_or_a_sensible_reason(gitlab_payloads: Path) -> None:
    lines = (gitlab_payloads / "webhook.jsonl").read_text(encoding="utf-8").splitlines()
    said = {}
    for line in map(json.loads, lines):
        found = read(line["payload"])
        assert not isinstance(found, Refused), line["source"]
        what = f"{found.project_id} {found.entity}" if isinstance(found, GitLabEvent) else found.reason
        said[line["source"]] = what
        assert isinstance(found, Ignored) or found.occurred_at is not None
    assert said == {
        "gitlab4j/issue-event.json": "14 #23",
        "gitlab4j/merge-request-event.json": "1 !1",
        "gitlab4j/note-issue-event.json": "5 #17",
        "gitlab4j/note-merge-request-event.json": "5 !1",
        "gitlab4j/note-commit-event.json": "a note on something else than an issue or merge request",
        "gitlab4j/workitem-event.json": "it belongs to no project: an epic, or another item of a group",
        "go-gitlab-webhooks/issue.json": "1 #23",
        "go-gitlab-webhooks/merge_request.json": "1 !1",
        # its keys end in blanks: "iid "
        "go-gitlab-webhooks/group_merge_request.json": (
            "it names no merge request by an IID. "
            "Most likely the hook has a custom webhook template: remove it in GitLab"
        ),
        "go-gitlab-webhooks/note_issue.json": "5 #17",
        "go-gitlab-webhooks/note_merge_request.json": "5 !1",
        "go-gitlab-webhooks/note_commit.json": "a note on something else than an issue or merge request",
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(["issue", "work_item", "merge_request", "note", "emoji", "push"]) | JSON
NOTEABLES = st.sampled_from(["Issue", "MergeRequest", "WorkItem", "Commit"]) | JSON
VALUES = ("iid", "id", "project_id", "updated_at", "path_with_namespace")
PARTS = st.fixed_dictionaries(
    {}, optional={"noteable_type": NOTEABLES} | {name: JSON | st.integers(1, 99) for name in VALUES}
)
PLACES = ("project", "object_attributes", "issue", "work_item", "merge_request", "note")
HOOKS = st.fixed_dictionaries(
    {}, optional={"object_kind": KINDS, "project_id": JSON} | dict.fromkeys(PLACES, PARTS | JSON)
)


@given(HOOKS, st.dictionaries(st.sampled_from(["webhook-id", "idempotency-key"]), st.text(max_size=300)))
def test_no_body_makes_it_raise_and_every_event_fits_the_ledger(hook: Any, headers: dict[str, str]) -> None:
    found = read(hook, headers)
    if isinstance(found, GitLabEvent):
        assert 1 <= found.project_id < 2**63
        assert 1 <= found.entity.iid < 2**31
        assert found.key.isascii()
        assert found.key.isprintable()
        assert 0 < len(found.key) < 256
        assert found.project_path is None or found.project_path.isascii()


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(body: bytes) -> None:
    read(body)
