"""Whatever JSON comes in, parsing ends in a record or an ``InvalidPayloadError``."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DiscussionRecord, LinkedRecord, ResourceEventRecord
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.records import (
    parse_dependent,
    parse_entity,
    parse_project,
    parse_scopes,
    parse_version,
)
from surgical_pipeline_tests.unit.gitlab.bending import bend, json_values
from surgical_pipeline_tests.unit.gitlab.corpus import payloads
from surgical_pipeline_tests.unit.gitlab.examples import DISCUSSION, ISSUE, MERGE_REQUEST, NOW

PARSERS: dict[str, Callable[[object], object]] = {
    "project": parse_project,
    "issue": lambda item: parse_entity(EntityType.ISSUE, item, fetched_at=NOW),
    "merge_request": lambda item: parse_entity(EntityType.MERGE_REQUEST, item, fetched_at=NOW),
    **{
        dependent.value: lambda items, dependent=dependent: parse_dependent(dependent, items)  # type: ignore[misc]
        for dependent in Dependent
    },
    "version": parse_version,
    "scopes": parse_scopes,
}


@pytest.mark.parametrize("nested", [[], {}])
def test_nesting_without_end_is_an_invalid_payload(nested: Any) -> None:
    for _ in range(100_000):
        nested = [nested]
    for parse in PARSERS.values():
        with pytest.raises(InvalidPayloadError):
            parse(nested)
        with pytest.raises(InvalidPayloadError):
            parse([{**ISSUE, "nested": nested}])


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=60, deadline=None)
@given(value=json_values)
def test_any_json_gives_a_record_or_an_invalid_payload(parser: str, value: object) -> None:
    for item in (value, [value]):
        survives(PARSERS[parser], item)


@pytest.mark.parametrize(
    ("parser", "base"),
    [
        ("issue", ISSUE),
        ("merge_request", MERGE_REQUEST),
        ("project", {"id": 7, "path_with_namespace": "a/b"}),
        ("discussions", [DISCUSSION]),
        ("label_events", [{"id": 1, "label": {"name": "bug"}, "user": {"id": 1}, "action": "add"}]),
        ("milestone_events", [{"id": 1, "milestone": {"title": "1.0"}, "created_at": "2024-01-01T00:00:00Z"}]),
        ("links", [ISSUE | {"issue_link_id": 4}]),
        ("commits", [{"id": "a", "authored_date": "2024-01-01T00:00:00Z"}]),
        ("diffs", [{"new_path": "a", "old_path": "b", "diff": "@@"}]),
        ("approvals", [{"id": 80, "iid": 34, "approved": True, "approved_by": [{"user": {"id": 1}}]}]),
        ("award_emoji", [{"id": 5, "name": "rocket", "user": {"username": "ada"}, "awardable_id": 90}]),
    ],
)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_payload_bent_anywhere_gives_a_record_or_an_invalid_payload(
    parser: str, base: object, data: st.DataObject
) -> None:
    bent = copy.deepcopy(base)
    bend(bent, data)
    survives(PARSERS[parser], bent)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_real_payloads_bent_anywhere_give_a_record_or_an_invalid_payload(
    gitlab_payloads: Path, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(["issue", "merge_request", "project"]))
    bent = copy.deepcopy(data.draw(st.sampled_from(payloads(gitlab_payloads, kind))))
    bend(bent, data)
    survives(PARSERS[kind], bent)


@pytest.mark.parametrize(
    ("dependent", "kind"),
    [
        ("discussions", "discussion"),
        ("label_events", "resource_label_event"),
        ("state_events", "resource_state_event"),
        ("links", "issue_link"),
        ("closed_by", "merge_request_simple"),
        ("closes_issues", "issue"),
        ("commits", "merge_request_commit"),
        ("diffs", "merge_request_diff"),
        ("approvals", "approvals"),
        ("award_emoji", "award_emoji"),
    ],
)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whole_pages_of_real_dependents_bent_anywhere_give_records_or_an_invalid_payload(
    gitlab_payloads: Path, dependent: str, kind: str, data: st.DataObject
) -> None:
    page = copy.deepcopy(list(payloads(gitlab_payloads, kind)))
    survives(PARSERS[dependent], page)
    for _ in range(data.draw(st.integers(1, 3))):
        bend(page, data)
    survives(PARSERS[dependent], page)


def survives(parse: Callable[[object], object], item: object) -> None:
    try:
        found = parse(item)
    except InvalidPayloadError as error:
        str(error).encode()
        return
    for record in found if isinstance(found, tuple) else (found,):
        if isinstance(record, DiscussionRecord | ResourceEventRecord | LinkedRecord) or hasattr(record, "payload"):
            text = record.payload.encode().decode()
            assert "\x00" not in text
            json.loads(text, parse_constant=pytest.fail)
