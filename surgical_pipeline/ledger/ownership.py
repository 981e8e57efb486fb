"""Which entity owns a record: GitLab numbers notes and events across entities, so one can appear under another.

A wrongly keyed cache or a proxy can cause that. Nothing in GitLab moves a note or an event from one issue or
merge request to another: if an issue moves, GitLab copies them. So the row of another entity is never taken over.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.records import DependentSet, DiscussionRecord, LinkedRecord, ResourceEventRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.columns import columns, key_of
from surgical_pipeline.ledger.protocol import Transaction

Held = tuple[EntityKey, Dependent]
"""A dependent of an entity: what is replaced whole."""

_GLOBAL = frozenset({Dependent.DISCUSSIONS, *EVENT_DEPENDENTS})
"""Dependents whose record ids are unique across entities; the keys of all others begin with the entity."""


def held_records(one: DependentSet) -> frozenset[tuple[str, int | str]]:
    """The rows that a set makes, each by its kind and id; duplicates count once."""
    if one.dependent is Dependent.DISCUSSIONS:
        found = cast("tuple[DiscussionRecord, ...]", one.records)
        talks = {("discussion", record.discussion_id) for record in found}
        return frozenset(talks | {("note", note.note_id) for record in found for note in record.notes})
    if one.dependent in EVENT_DEPENDENTS:
        events = cast("tuple[ResourceEventRecord, ...]", one.records)
        return frozenset(("event", event.event_id) for event in events)
    return frozenset(("record", record.record_id) for record in cast("tuple[LinkedRecord, ...]", one.records))


def find_foreign(tx: Transaction, project_id: int, sets: Sequence[DependentSet]) -> dict[Held, str]:
    """The sets that must not be written, each with a sentence that says why.

    The ledger has a note or event of theirs for another entity; or two entities of these sets were given the same
    one, and nobody knows whose it is.
    """
    foreign: dict[Held, str] = {}
    for row in _rows_of_others(tx, project_id, sets):
        owner = _shown(row, project_id=project_id)
        what = _named(row["dependent"], row["record_id"])
        foreign[key_of(row), Dependent[row["dependent"].upper()]] = (
            f"GitLab gave {what} for {key_of(row)}, and the ledger has it for {owner}: nothing was written of it. "
            f"If the ledger is wrong, sync {owner} first"
        )
    holders: dict[tuple[Dependent, int], list[EntityKey]] = defaultdict(list)
    for one in sets:
        if (one.key, one.dependent) not in foreign:
            for record_id in _global_ids(one):
                holders[one.dependent, record_id].append(one.key)
    for (dependent, record_id), keys in holders.items():
        if len(keys) > 1:
            both = " and ".join(map(str, keys[:2]))
            reason = f"GitLab gave {_named(dependent, record_id)} for both {both}: nothing was written of it"
            foreign |= {(key, dependent): reason for key in keys}
    return foreign


def _rows_of_others(tx: Transaction, project_id: int, sets: Sequence[DependentSet]) -> list[dict[str, Any]]:
    given = [
        (str(one.key.entity_type), one.key.iid, str(one.dependent), record_id)
        for one in sets
        for record_id in _global_ids(one)
    ]
    if not given:
        return []
    names = ("entity_type", "iid", "dependent", "record_id")
    return tx.rows("find_records_of_others", project_id=project_id, **columns(given, *names))


def _global_ids(one: DependentSet) -> list[int]:
    if one.dependent not in _GLOBAL:
        return []
    return [cast("int", record_id) for kind, record_id in held_records(one) if kind in ("note", "event")]


def _named(dependent: str, record_id: int) -> str:
    return f"note {record_id}" if dependent == Dependent.DISCUSSIONS else f"{dependent} {record_id}"


def _shown(row: Mapping[str, Any], *, project_id: int) -> str:
    key = EntityKey(EntityType(row["owner_type"]), row["owner_iid"])
    return str(key) if row["owner_project_id"] == project_id else f"{key} of project {row['owner_project_id']}"
