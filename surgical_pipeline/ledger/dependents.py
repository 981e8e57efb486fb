"""The dependents of entities: each dependent of each entity is replaced whole, and only by a later fetch."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, cast

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.freshness import Present, latest_believed
from surgical_pipeline.domain.records import DependentSet, DiscussionRecord, LinkedRecord, ResourceEventRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.columns import columns, key_columns, key_of
from surgical_pipeline.ledger.ownership import Held, find_foreign, held_records
from surgical_pipeline.ledger.payloads import storable_json, storable_text
from surgical_pipeline.ledger.protocol import Transaction


@dataclass(frozen=True, slots=True)
class CodeVersion:
    """``head``: a merge request's ``sha``. ``current``: that and its target branch, as one text.

    ``known``: the ``current`` that our records belong to, if that is certain.
    """

    head: str
    current: str
    known: Mapping[Dependent, str]

    def has_current(self, dependent: Dependent) -> bool:
        return self.known.get(dependent) == self.current


@dataclass(frozen=True, slots=True)
class Replacement:
    """What became of sets: each dependent of each entity is in exactly one of the first three.

    ``stale``: the ledger has a later fetch. ``foreign``: one of its records belongs to another entity; the
    reason is a sentence. ``unbelieved``: replaced sets that were stored as fetched in GitLab's future, and when.
    """

    replaced: frozenset[Held] = frozenset()
    stale: frozenset[Held] = frozenset()
    foreign: Mapping[Held, str] = field(default_factory=dict)
    unbelieved: Mapping[Held, datetime] = field(default_factory=dict)


def replace_dependents(
    tx: Transaction,
    run_id: str,
    project_id: int,
    sets: Sequence[DependentSet],
    *,
    present: Present | None = None,
) -> Replacement:
    """Replace each set's dependent of its entity.

    A set fetched before the one that the ledger has is skipped; one fetched at the same moment is written, so a
    repeated write does the same again. Of two sets for one dependent of one entity the later fetched counts. A
    set with a note or event that another entity has is refused: GitLab copies them, and never moves one.

    Args:
        tx: the window.
        run_id: the run that fetched them.
        project_id: of all the sets' entities.
        sets: each complete to its last page.
        present: gives GitLab's present time, and is asked once nobody else can write these; a fetch that the
            ledger has as begun later than that is not believed. None: all is believed.
    """
    latest = _latest(sets)
    foreign = find_foreign(tx, project_id, latest)
    own = [one for one in latest if (one.key, one.dependent) not in foreign]
    if not own:
        return Replacement(foreign=foreign)
    claimed, believed = _claim(tx, run_id, project_id, own, present=present)
    for replace in (_replace_discussions, _replace_events, _replace_linked):
        mine = [
            one for one in own if (one.key, one.dependent) in claimed and _how_replaced(one.dependent) is replace
        ]
        if mine:
            replace(tx, mine, run_id=run_id, project_id=project_id)
    stale = frozenset((one.key, one.dependent) for one in own) - claimed.keys()
    unbelieved = {one: before for one, before in claimed.items() if before is not None and before > believed}
    return Replacement(frozenset(claimed), stale, foreign, unbelieved)


def code_versions(tx: Transaction, project_id: int, keys: Collection[EntityKey]) -> dict[EntityKey, CodeVersion]:
    """The code of each merge request whose head GitLab reported; commits and diffs change only with it."""
    iids = [key.iid for key in keys if key.entity_type is EntityType.MERGE_REQUEST]
    known: dict[EntityKey, dict[Dependent, str]] = defaultdict(dict)
    for (key, dependent), text in source_versions(tx, project_id, keys).items():
        known[key][dependent] = text
    versions = {}
    for iid, head, target_branch in tx.execute("load_code_versions", project_id=project_id, iids=iids):
        key = EntityKey(EntityType.MERGE_REQUEST, iid)
        versions[key] = CodeVersion(head, f"{head} into {target_branch or ''}", known[key])
    return versions


def source_versions(
    tx: Transaction, project_id: int, keys: Collection[EntityKey]
) -> dict[tuple[EntityKey, Dependent], str]:
    """Which state of the entity the ledger's dependent belongs to, if the fetch reported it."""
    return {
        _held(row): row["source_version"]
        for row in tx.rows("load_dependent_fetches", project_id=project_id, **key_columns(keys))
        if row["source_version"] is not None
    }


def _latest(sets: Iterable[DependentSet]) -> list[DependentSet]:
    by_age = sorted(sets, key=lambda one: one.fetched_at)
    return list({(one.key, one.dependent): one for one in by_age}.values())


def _claim(
    tx: Transaction, run_id: str, project_id: int, sets: Sequence[DependentSet], *, present: Present | None
) -> tuple[dict[Held, datetime | None], datetime]:
    """What was claimed with when its previous fetch began, and until when that is believed."""
    rows = [
        (
            str(one.key.entity_type),
            one.key.iid,
            str(one.dependent),
            one.fetched_at,
            len(held_records(one)),
            one.source_version,
        )
        for one in sets
    ]
    names = ("entity_type", "iid", "dependent", "fetched_at", "row_count", "source_version")
    claim = {"run_id": run_id, "project_id": project_id, **columns(rows, *names)}
    tx.wait_for_turn("claim_dependents", **claim)
    believed = latest_believed(present)
    claimed = tx.rows("claim_dependents", believed=believed, **claim)
    return {_held(row): row["replaced_fetched_at"] for row in claimed}, believed


def _held(row: Mapping[str, Any]) -> Held:
    return key_of(row), Dependent[row["dependent"].upper()]


class _Replace(Protocol):
    def __call__(self, tx: Transaction, sets: Sequence[DependentSet], **stamp: Any) -> None: ...


def _how_replaced(dependent: Dependent) -> _Replace:
    if dependent is Dependent.DISCUSSIONS:
        return _replace_discussions
    return _replace_events if dependent in EVENT_DEPENDENTS else _replace_linked


def _claimed_columns(sets: Sequence[DependentSet]) -> dict[str, list[Any]]:
    return key_columns(one.key for one in sets) | {"dependents": [str(one.dependent) for one in sets]}


def _replace_discussions(tx: Transaction, sets: Sequence[DependentSet], **stamp: Any) -> None:
    keys = key_columns(one.key for one in sets)
    tx.execute("delete_notes", project_id=stamp["project_id"], **keys)
    tx.execute("delete_discussions", project_id=stamp["project_id"], **keys)
    _write_discussions(tx, sets, **stamp)
    _write_notes(tx, sets, **stamp)


def _write_discussions(tx: Transaction, sets: Sequence[DependentSet], **stamp: Any) -> None:
    rows = {
        (one.key, discussion.discussion_id): (
            str(one.key.entity_type),
            one.key.iid,
            discussion.discussion_id,
            discussion.position,
            discussion.individual_note,
            one.fetched_at,
            storable_json(discussion.payload),
        )
        for one in sets
        for discussion in cast("tuple[DiscussionRecord, ...]", one.records)
    }
    names = (
        "noteable_type",
        "noteable_iid",
        "discussion_id",
        "position",
        "individual_note",
        "fetched_at",
        "payload",
    )
    if rows:
        tx.execute("insert_discussions", **stamp, **columns(list(rows.values()), *names))


def _write_notes(tx: Transaction, sets: Sequence[DependentSet], **stamp: Any) -> None:
    rows = {
        note.note_id: (
            note.note_id,
            str(one.key.entity_type),
            one.key.iid,
            discussion.discussion_id,
            note.position,
            None if note.author is None else storable_text(note.author),
            note.system,
            note.internal,
            note.created_at,
            note.updated_at,
            one.fetched_at,
            storable_json(note.payload),
        )
        for one in sets
        for discussion in cast("tuple[DiscussionRecord, ...]", one.records)
        for note in discussion.notes
    }
    names = (
        "note_id",
        "noteable_type",
        "noteable_iid",
        "discussion_id",
        "position",
        "author",
        "system",
        "internal",
        "created_at",
        "updated_at",
        "fetched_at",
        "payload",
    )
    if rows:
        tx.execute("insert_notes", **stamp, **columns(list(rows.values()), *names))


def _replace_events(tx: Transaction, sets: Sequence[DependentSet], **stamp: Any) -> None:
    tx.execute("delete_resource_events", project_id=stamp["project_id"], **_claimed_columns(sets))
    rows = {
        (one.dependent, event.event_id): (
            str(one.dependent),
            event.event_id,
            str(one.key.entity_type),
            one.key.iid,
            event.created_at,
            one.fetched_at,
            storable_json(event.payload),
        )
        for one in sets
        for event in cast("tuple[ResourceEventRecord, ...]", one.records)
    }
    names = ("event_type", "event_id", "noteable_type", "noteable_iid", "created_at", "fetched_at", "payload")
    if rows:
        tx.execute("insert_resource_events", **stamp, **columns(list(rows.values()), *names))


def _replace_linked(tx: Transaction, sets: Sequence[DependentSet], **stamp: Any) -> None:
    tx.execute("delete_linked_records", project_id=stamp["project_id"], **_claimed_columns(sets))
    rows = {
        (one.key, one.dependent, record.record_id): (
            str(one.key.entity_type),
            one.key.iid,
            str(one.dependent),
            record.position,
            record.record_id,
            one.fetched_at,
            storable_json(record.payload),
        )
        for one in sets
        for record in cast("tuple[LinkedRecord, ...]", one.records)
    }
    names = ("entity_type", "iid", "dependent", "position", "record_id", "fetched_at", "payload")
    if rows:
        tx.execute("insert_linked_records", **stamp, **columns(list(rows.values()), *names))
