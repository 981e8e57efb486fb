"""How long labels and states lasted, and when merge requests came how far."""

import json
from dataclasses import replace
from typing import Any

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DependentSet, NoteRecord
from surgical_pipeline.gitlab.records import parse_dependent
from surgical_pipeline_tests.integration.dataset.given import (
    bring,
    events_of,
    issue_of,
    merge_request_of,
    rows_of,
    stamp,
)
from surgical_pipeline_tests.integration.ledger.examples import (
    AnyLedger,
    at,
    discussion,
    discussions,
    issue,
    merge_request,
    note,
)

OPENED = {"created_at": stamp(0), "updated_at": stamp(50)}


def label(when: float, action: str, name: str | None = "bug") -> tuple[float, dict[str, Any]]:
    return when, {"action": action, "label": None if name is None else {"name": name}}


def state(when: float, name: str) -> tuple[float, dict[str, Any]]:
    return when, {"state": name}


def label_spans(ledger: AnyLedger) -> list[tuple[Any, ...]]:
    found = rows_of(ledger, "label_spans")
    names = ("label_name", "from_at", "to_at", "from_creation")
    found.sort(key=lambda row: (row["label_name"], row["from_at"] or at(0), row["to_at"] or at(9999)))
    return [tuple(row[name] for name in names) for row in found]


def state_spans(ledger: AnyLedger) -> list[tuple[Any, ...]]:
    found = sorted(rows_of(ledger, "state_spans"), key=lambda row: row["from_at"])
    return [(row["state"], row["from_at"], row["to_at"]) for row in found]


def test_a_label_that_was_removed_and_added_again_has_two_spans(ledger: AnyLedger) -> None:
    events = events_of(issue(1), "label_events", label(10, "add"), label(20, "remove"), label(30, "add"))
    bring(ledger, issue_of(1, **OPENED, labels=["bug"]), events)
    assert label_spans(ledger) == [("bug", at(10), at(20), False), ("bug", at(30), None, False)]


def test_a_label_without_an_event_of_being_added_was_there_from_the_beginning(ledger: AnyLedger) -> None:
    events = events_of(issue(1), "label_events", label(20, "remove", "doing"), label(30, "add", "doing"))
    bring(ledger, issue_of(1, **OPENED, labels=["bug", "doing"]), events)
    assert label_spans(ledger) == [
        ("bug", at(0), None, True),
        ("doing", at(0), at(20), True),
        ("doing", at(30), None, False),
    ]


def test_since_when_a_label_is_there_is_not_known_where_its_event_may_be_missing(ledger: AnyLedger) -> None:
    bring(
        ledger,
        issue_of(1, **OPENED, labels=["never fetched"]),
        issue_of(2, **OPENED, labels=["changed since"]),
        events_of(issue(2), "label_events", fetched=40),
    )
    assert label_spans(ledger) == [("changed since", None, None, False), ("never fetched", None, None, False)]


def test_events_that_say_the_same_twice_are_one(ledger: AnyLedger) -> None:
    twice = [label(10, "add"), label(15, "add"), label(20, "remove"), label(25, "remove")]
    bring(ledger, issue_of(1, **OPENED, labels=[]), events_of(issue(1), "label_events", *twice))
    assert label_spans(ledger) == [("bug", at(10), at(20), False)]


def test_events_of_one_moment_count_in_the_order_of_their_ids(ledger: AnyLedger) -> None:
    events = events_of(issue(1), "label_events", label(10, "add"), label(10, "remove"), label(10, "add"))
    bring(ledger, issue_of(1, **OPENED, labels=["bug"]), events)
    assert label_spans(ledger) == [("bug", at(10), at(10), False), ("bug", at(10), None, False)]


def test_a_label_that_was_deleted_has_no_spans(ledger: AnyLedger) -> None:
    events = events_of(issue(1), "label_events", label(10, "add", None))
    bring(ledger, issue_of(1, **OPENED, labels=[]), events)
    assert label_spans(ledger) == []


def test_labels_of_an_issue_and_of_the_merge_request_of_its_number_stay_apart(ledger: AnyLedger) -> None:
    bring(
        ledger,
        issue_of(1, **OPENED, labels=["bug"], confidential=True),
        merge_request_of(1, **OPENED, labels=[{"id": 5, "name": "bug"}]),
        events_of(issue(1), "label_events", label(10, "add")),
        replace(
            events_of(merge_request(1), "label_events"),
            records=events_of(issue(2), "label_events", label(20, "add")).records,
        ),
    )
    found = {row["noteable_type"]: (row["from_at"], row["confidential"]) for row in rows_of(ledger, "label_spans")}
    assert found == {"Issue": (at(10), True), "MergeRequest": (at(20), False)}


def test_closed_and_opened_again_are_three_states(ledger: AnyLedger) -> None:
    events = events_of(
        issue(1),
        "state_events",
        state(10, "closed"),
        state(20, "reopened"),
        state(30, "closed"),
        state(31, "closed"),
    )
    bring(ledger, issue_of(1, **OPENED, state="closed", closed_at=stamp(30)), events)
    assert state_spans(ledger) == [
        ("opened", at(0), at(10)),
        ("closed", at(10), at(20)),
        ("opened", at(20), at(30)),
        ("closed", at(30), None),
    ]


def test_a_gitlab_without_state_events_says_when_it_was_closed(ledger: AnyLedger) -> None:
    bring(ledger, issue_of(1, **OPENED, state="closed", closed_at=stamp(30)))
    assert state_spans(ledger) == [("opened", at(0), at(30)), ("closed", at(30), None)]


def test_an_open_issue_has_one_open_span(ledger: AnyLedger) -> None:
    bring(ledger, issue_of(1, **OPENED))
    assert state_spans(ledger) == [("opened", at(0), None)]


def test_a_merged_merge_request_ends_merged(ledger: AnyLedger) -> None:
    bring(ledger, merge_request_of(1, **OPENED, state="merged", merged_at=stamp(40)))
    assert state_spans(ledger) == [("opened", at(0), at(40)), ("merged", at(40), None)]


def written(number: int, when: float, **fields: Any) -> NoteRecord:
    payload = {"author": {"id": 2, "username": "grace"}, "body": "hi", **fields}
    return replace(
        note(number),
        created_at=at(when),
        system=fields.get("system", False),
        internal=fields.get("internal", False),
        payload=json.dumps(payload),
    )


def test_a_merge_request_tells_when_it_came_how_far(ledger: AnyLedger) -> None:
    author = {"id": 1, "username": "ada"}
    approvals = [{"approved_by": [{"user": {"id": 3}, "approved_at": stamp(26)}, {"approved_at": stamp(27)}]}]
    bring(
        ledger,
        merge_request_of(1, **OPENED, author=author, state="merged", merged_at=stamp(40)),
        discussions(
            merge_request(1),
            discussion("d1", written(1, 5, author=author)),
            discussion("d2", written(2, 6, system=True)),
            discussion("d3", written(3, 7, internal=True)),
            discussion("d4", written(4, 9), written(5, 8)),
            discussion("d5", written(6, 25, system=True, body="approved this merge request")),
        ),
        DependentSet(
            merge_request(1), Dependent.APPROVALS, at(0), parse_dependent(Dependent.APPROVALS, approvals)
        ),
        merge_request_of(2, **OPENED, author=author, state="closed", closed_at=stamp(30)),
        DependentSet(
            merge_request(2), Dependent.APPROVALS, at(0), parse_dependent(Dependent.APPROVALS, approvals)
        ),
    )
    names = ("opened_at", "first_note_at", "approved_at", "merged_at", "closed_at")
    found = {row["iid"]: tuple(row[name] for name in names) for row in rows_of(ledger, "merge_request_times")}
    assert found == {
        1: (at(0), at(8), at(25), at(40), None),
        2: (at(0), None, at(26), None, at(30)),
    }
