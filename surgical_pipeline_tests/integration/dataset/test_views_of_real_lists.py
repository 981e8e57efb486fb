"""Lists within real answers, such as assignees and the notes of a discussion: a row each, with the same fields.

What stands in an answer itself is compared field by field in `test_typed_views.py`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DependentSet, EntityRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.records import parse_dependent
from surgical_pipeline_tests.integration.dataset.given import bring, rows_of
from surgical_pipeline_tests.integration.dataset.samples import entity_sample, expected
from surgical_pipeline_tests.integration.ledger.examples import AnyLedger, at
from surgical_pipeline_tests.unit.gitlab.corpus import payloads

Json = Mapping[str, Any]
KINDS = {"issue": EntityType.ISSUE, "merge_request": EntityType.MERGE_REQUEST}


def said_of(answer: Json, listed: str) -> list[Any]:
    """The list as the answer has it; before there were several assignees there was one."""
    found: list[Any] = answer.get(listed) or []
    if listed == "assignees" and not found and isinstance(answer.get("assignee"), Mapping):
        return [answer["assignee"]]
    return found


def fields_of(table: str, item: Any) -> dict[str, Any]:
    """What GitLab says of one; labels of issues are names alone."""
    whole = item if isinstance(item, Mapping) else {"name": item}
    return {column.name: expected(column, whole) for column in TABLES[table].columns if column.path}


def ordered(rows: Iterable[dict[str, Any]]) -> list[tuple[tuple[str, str], ...]]:
    return sorted(tuple(sorted((name, repr(value)) for name, value in row.items())) for row in rows)


@pytest.mark.parametrize(
    ("table", "kind", "least"),
    [
        ("assignees", "issue", 20),
        ("assignees", "merge_request", 15),
        ("reviewers", "merge_request", 2),
        ("labels", "issue", 10),
        ("labels", "merge_request", 10),
    ],
)
def test_each_item_of_a_real_list_has_a_row_with_its_fields(
    ledger: AnyLedger, gitlab_payloads: Path, *, table: str, kind: str, least: int
) -> None:
    answers = dict(enumerate(payloads(gitlab_payloads, kind), start=1))
    bring(ledger, *(entity_sample(KINDS[kind], number, answer).records[0] for number, answer in answers.items()))
    rows = rows_of(ledger, table)
    compared = 0
    for number, answer in answers.items():
        told = [fields_of(table, item) for item in said_of(answer, table)]
        mine = [row for row in rows if number in (row.get("noteable_iid"), row.get("merge_request_iid"))]
        found = [
            {column.name: row[column.name] for column in TABLES[table].columns if column.path} for row in mine
        ]
        assert ordered(found) == ordered(told), (kind, number)
        compared += len(told)
    assert compared == len(rows) >= least


def test_each_real_discussion_has_a_row_that_says_what_its_notes_say(
    ledger: AnyLedger, gitlab_payloads: Path
) -> None:
    told = {}
    for number, answer in enumerate(payloads(gitlab_payloads, "discussion"), start=1):
        listed: Any = answer["notes"]
        notes: list[Json] = [{**note, "id": 100 * number + place} for place, note in enumerate(listed)]
        kind = EntityType.ISSUE if notes[0].get("noteable_type") == "Issue" else EntityType.MERGE_REQUEST
        (parent,) = entity_sample(kind, number, {"web_url": f"https://gitlab.test/{number}"}).records
        records = parse_dependent(Dependent.DISCUSSIONS, [{**answer, "notes": notes}])
        assert isinstance(parent, EntityRecord)
        bring(ledger, parent, DependentSet(EntityKey(kind, number), Dependent.DISCUSSIONS, at(0), records))
        told[number] = (answer, notes)
    rows = {row["noteable_iid"]: row for row in rows_of(ledger, "discussions")}
    assert len(rows) == len(told) >= 10
    for number, (answer, notes) in told.items():
        row, resolvable = rows[number], [note for note in notes if note.get("resolvable")]
        assert (row["id"], row["individual_note"]) == (answer["id"], bool(answer.get("individual_note")))
        assert row["notes_count"] == len(notes)
        assert row["author_username"] == (notes[0].get("author") or {}).get("username")
        assert row["resolvable"] == bool(resolvable)
        assert row["resolved"] == (all(note.get("resolved") for note in resolvable) if resolvable else None)
        assert row["position_new_path"] == (notes[0].get("position") or {}).get("new_path")
        assert row["position_new_line"] == (notes[0].get("position") or {}).get("new_line")
        assert row["web_url"] == f"https://gitlab.test/{number}#note_{100 * number}"
