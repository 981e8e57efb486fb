"""Real answers of GitLab, brought into a ledger the way a run does it, each with what a view must say of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from surgical_pipeline.dataset.columns import Column, ColumnType
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DependentSet, EntityRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.records import parse_dependent, parse_entity
from surgical_pipeline_tests.integration.ledger.examples import at
from surgical_pipeline_tests.unit.gitlab.corpus import payloads

Json = Mapping[str, Any]
DEPENDENTS = {
    "resource_label_event": Dependent.LABEL_EVENTS,
    "resource_state_event": Dependent.STATE_EVENTS,
    "award_emoji": Dependent.AWARD_EMOJI,
    "approvals": Dependent.APPROVALS,
    "issue_link": Dependent.LINKS,
    "merge_request_commit": Dependent.COMMITS,
    "merge_request_diff": Dependent.DIFFS,
}


@dataclass(frozen=True)
class Sample:
    """A line: the ``table`` that has a row for it, the number of its issue or merge request, and its payload."""

    table: str
    iid: int
    payload: Json
    records: tuple[EntityRecord | DependentSet, ...]


def samples(folder: Path) -> Iterator[Sample]:
    """Every line that becomes a row of its own. Lines have numbers of their own where two would have one key."""
    yield from _entities(folder)
    number = 1000
    for kind, dependent in DEPENDENTS.items():
        for line in payloads(folder, kind):
            number += 1
            yield _dependent(dependent, number, line)
    for line in payloads(folder, "note"):
        number += 1
        yield _note(number, {**line, "id": number}, {"id": f"d{number}", "individual_note": True})
    for line in payloads(folder, "discussion"):
        for note in line["notes"]:  # type: ignore[attr-defined]
            number += 1
            yield _note(number, {**note, "id": number}, line)


def _entities(folder: Path) -> Iterator[Sample]:
    number = 0
    for kind, entity_type in (("issue", EntityType.ISSUE), ("merge_request", EntityType.MERGE_REQUEST)):
        lines = payloads(folder, kind)
        if kind == "merge_request":
            lines += payloads(folder, "merge_request_simple")
        for line in lines:
            number += 1
            yield entity_sample(entity_type, number, line)
    for line in payloads(folder, "milestone"):
        number += 1
        yield entity_sample(EntityType.ISSUE, number, {"milestone": line})
    for line in payloads(folder, "label"):
        number += 1
        entity = entity_sample(EntityType.MERGE_REQUEST, number, {"labels": [line]})
        yield Sample("labels", number, line, entity.records)


def entity_sample(entity_type: EntityType, number: int, line: Json) -> Sample:
    """What an ingest would refuse for a missing key is completed; hand-shortened samples lack some."""
    needed = {"title": "T", "state": "opened", "updated_at": "2026-01-01T00:00:00.000Z"}
    whole = {**needed, **line, "iid": number, "project_id": 7}
    whole["id"] = line["id"] if isinstance(line.get("id"), int) else number
    record = parse_entity(entity_type, whole, fetched_at=at(0))
    return Sample(f"{entity_type}s", number, whole, (record,))


def _parent(number: int, entity_type: EntityType) -> EntityRecord:
    (record,) = entity_sample(entity_type, number, {"web_url": f"https://gitlab.test/{number}"}).records
    assert isinstance(record, EntityRecord)
    return record


def _dependent(dependent: Dependent, number: int, line: Json) -> Sample:
    kind = min(dependent.applies_to) if len(dependent.applies_to) == 1 else EntityType.ISSUE
    whole = {**line, "id": number} if "resource_id" in line else line
    records = parse_dependent(dependent, [whole])
    one = DependentSet(EntityKey(kind, number), dependent, at(0), records)
    return Sample(str(dependent), number, whole, (_parent(number, kind), one))


def _note(number: int, note: Json, discussion: Json) -> Sample:
    kind = EntityType.ISSUE if note.get("noteable_type") == "Issue" else EntityType.MERGE_REQUEST
    records = parse_dependent(Dependent.DISCUSSIONS, [{**discussion, "notes": [note]}])
    one = DependentSet(EntityKey(kind, number), Dependent.DISCUSSIONS, at(0), records)
    return Sample("notes", number, note, (_parent(number, kind), one))


def expected(column: Column, payload: Json) -> Any:
    """What GitLab's answer says, read without any of the package's code."""
    found = _at(payload, column.path)
    if column.type is ColumnType.TEXTS:
        if not found and column.otherwise:
            single = _at(payload, column.otherwise)
            return [single] if single is not None else found
        return found
    if found is None:
        return None
    if column.type is ColumnType.TIME:
        moment = datetime.fromisoformat(found)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    return date.fromisoformat(found) if column.type is ColumnType.DAY else found


def _at(payload: Any, path: str) -> Any:
    listed, bracket, rest = path.partition("[")
    for name in listed.split("."):
        payload = payload.get(name) if isinstance(payload, Mapping) else None
    if not bracket or payload is None:
        return payload
    inner = rest.replace("]", "").removeprefix(".")
    return [_at(one, inner) if inner and isinstance(one, Mapping) else one for one in payload]
