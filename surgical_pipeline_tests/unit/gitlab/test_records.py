import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.records import (
    parse_dependent,
    parse_discussions,
    parse_entity,
    parse_events,
    parse_linked,
    parse_scopes,
    parse_version,
)
from surgical_pipeline_tests.unit.gitlab.corpus import payloads
from surgical_pipeline_tests.unit.gitlab.examples import DISCUSSION, ISSUE, MERGE_REQUEST, NOW


def test_an_issue_gives_its_key_columns() -> None:
    record = parse_entity(EntityType.ISSUE, ISSUE, fetched_at=NOW)
    assert record.key == EntityKey(EntityType.ISSUE, 12)
    assert (record.project_id, record.gitlab_id, record.title, record.state) == (
        7,
        90,
        "Tank pressure drops",
        "opened",
    )
    assert record.updated_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert (record.fetched_at, record.confidential, record.moved_to_id) == (NOW, True, 91)
    assert (record.sha, record.target_project_id, record.target_branch) == (None, None, None)


def test_a_merge_request_gives_its_head_and_target() -> None:
    record = parse_entity(EntityType.MERGE_REQUEST, MERGE_REQUEST, fetched_at=NOW)
    assert record.key == EntityKey(EntityType.MERGE_REQUEST, 34)
    assert (record.sha, record.target_project_id, record.target_branch) == ("abc123", 7, "main")
    assert (record.confidential, record.moved_to_id) == (False, None)


def test_the_payload_keeps_every_field_in_gitlabs_order() -> None:
    item = {"zebra": [1.5, None], **ISSUE, "title": "Größe ✓", "unknown": {"b": 1, "a": 2}}
    record = parse_entity(EntityType.ISSUE, item, fetched_at=NOW)
    assert json.loads(record.payload) == item
    assert list(json.loads(record.payload)) == list(item)
    assert record.payload.startswith('{"zebra":[1.5,null],')
    assert "Größe ✓" in record.payload
    assert record.payload == parse_entity(EntityType.ISSUE, copy.deepcopy(item), fetched_at=NOW).payload


@pytest.mark.parametrize("field", ["id", "iid", "project_id", "title", "state", "updated_at"])
@pytest.mark.parametrize("wrong", [None, {}, [], -1, True, "absent"])
def test_a_missing_or_wrong_key_column_is_named(field: str, wrong: object) -> None:
    item = {name: value for name, value in ISSUE.items() if name != field}
    if wrong != "absent":
        item[field] = wrong
    with pytest.raises(InvalidPayloadError, match=rf"field {field}\b.* of GitLab's issue") as raised:
        parse_entity(EntityType.ISSUE, item, fetched_at=NOW)
    assert raised.value.code == "INVALID_PAYLOAD"


def test_an_iid_beyond_gitlabs_integers_is_refused() -> None:
    with pytest.raises(InvalidPayloadError, match="iid"):
        parse_entity(EntityType.ISSUE, ISSUE | {"iid": 2**31}, fetched_at=NOW)


def test_an_error_never_repeats_the_payload() -> None:
    with pytest.raises(InvalidPayloadError) as raised:
        parse_entity(EntityType.ISSUE, ISSUE | {"labels": "launch codes 1234"}, fetched_at=NOW)
    assert "labels" in str(raised.value)
    assert "1234" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_characters_that_no_database_stores_are_replaced_everywhere() -> None:
    item = ISSUE | {"title": "a\x00b\ud800c", "nested": [{"k\x00": ["\udfff"]}], "plain": "\\u0000"}
    record = parse_entity(EntityType.ISSUE, item, fetched_at=NOW)
    assert record.title == "a\ufffdb\ufffdc"
    stored = json.loads(record.payload.encode())
    assert stored["nested"] == [{"k\ufffd": ["\ufffd"]}]
    assert stored["plain"] == "\\u0000"


def test_discussions_keep_their_order_and_part_with_their_notes() -> None:
    second = DISCUSSION | {"id": "d2", "individual_note": True, "notes": []}
    one, two = parse_discussions([DISCUSSION, second])
    assert (one.discussion_id, one.position, one.individual_note) == ("d1", 0, False)
    assert (two.discussion_id, two.position, two.individual_note, two.notes) == ("d2", 1, True, ())
    assert json.loads(one.payload) == {"id": "d1", "individual_note": False}
    first_note, second_note = one.notes
    assert (first_note.note_id, first_note.position, first_note.author, first_note.internal) == (2, 0, "ada", True)
    assert (second_note.note_id, second_note.position, second_note.author) == (1, 1, None)
    assert second_note.system
    assert second_note.created_at == datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert json.loads(first_note.payload)["body"] == "b"


def test_what_comes_twice_counts_once_as_it_came_last() -> None:
    again = DISCUSSION | {"individual_note": True}
    (discussion,) = parse_discussions([DISCUSSION, again])
    assert discussion.individual_note
    (event,) = parse_events(Dependent.STATE_EVENTS, [{"id": 1, "state": "closed"}, {"id": 1, "state": "opened"}])
    assert json.loads(event.payload)["state"] == "opened"
    assert len(parse_linked(Dependent.COMMITS, [{"id": "a"}, {"id": "b"}, {"id": "a"}])) == 2
    doubled = DISCUSSION | {"notes": [{"id": 1}, {"id": 2}, {"id": 1}]}
    assert [(note.note_id, note.position) for note in parse_discussions([doubled])[0].notes] == [(1, 0), (2, 1)]


def test_record_ids_are_gitlabs_own() -> None:
    def only(dependent: Dependent, item: dict[str, object]) -> str:
        (record,) = parse_linked(dependent, [item])
        return record.record_id

    assert only(Dependent.LINKS, {"id": 3, "issue_link_id": 9}) == "9"
    assert only(Dependent.LINKS, {"id": 3}) == "3"
    assert only(Dependent.CLOSED_BY, {"id": 3, "iid": 4}) == "3"
    assert only(Dependent.CLOSES_ISSUES, {"id": "PROJECT-123", "title": "in Jira"}) == "PROJECT-123"
    assert only(Dependent.COMMITS, {"id": "ad25fcda"}) == "ad25fcda"
    assert only(Dependent.DIFFS, {"new_path": "b.py", "old_path": "a.py"}) == "b.py"


def test_a_file_that_changed_its_type_keeps_both_diffs() -> None:
    items = [{"new_path": "a"}, {"new_path": "a (2)"}, {"new_path": "a"}, {"new_path": "b"}]
    records = parse_linked(Dependent.DIFFS, items)
    assert [(record.record_id, record.position) for record in records] == [
        ("a", 0),
        ("a (2)", 1),
        ("a (3)", 2),
        ("b", 3),
    ]


@pytest.mark.parametrize("items", [None, {}, "x", 3, [None], [3], [[]]])
@pytest.mark.parametrize("dependent", list(Dependent))
def test_a_list_of_something_else_is_refused(dependent: Dependent, items: object) -> None:
    with pytest.raises(InvalidPayloadError):
        parse_dependent(dependent, items)


def test_version_and_scopes_are_read() -> None:
    assert parse_version({"version": "18.5.1-ee"}) == "18.5.1-ee"
    assert parse_scopes({"scopes": ["api", "read_api"]}) == ("api", "read_api")


def test_real_payloads_become_records_that_hold_them_whole(gitlab_payloads: Path) -> None:
    for kind in EntityType:
        parsed = 0
        for payload in payloads(gitlab_payloads, kind.value):
            if payload.get("iid") and payload.get("updated_at"):
                record = parse_entity(kind, payload, fetched_at=NOW)
                assert json.loads(record.payload) == payload
                parsed += 1
        assert parsed > 20
    discussions = payloads(gitlab_payloads, "discussion")
    records = parse_discussions(discussions)
    assert len(records) == len({str(payload["id"]) for payload in discussions})
    assert all(record.notes for record in records)
    for dependent, kind_of_payload in (
        (Dependent.LABEL_EVENTS, "resource_label_event"),
        (Dependent.STATE_EVENTS, "resource_state_event"),
        (Dependent.COMMITS, "merge_request_commit"),
        (Dependent.DIFFS, "merge_request_diff"),
        (Dependent.LINKS, "issue_link"),
        (Dependent.CLOSED_BY, "merge_request"),
        (Dependent.CLOSES_ISSUES, "issue"),
    ):
        assert parse_dependent(dependent, payloads(gitlab_payloads, kind_of_payload))
