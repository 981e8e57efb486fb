"""Projects, issues and merge requests: fresher replaces older, and what GitLab lost is marked, then tombstoned.

``present`` gives GitLab's present time, and is asked once nobody else can write what it judges: what the ledger
has as fetched later than that is not believed (``domain.freshness.latest_believed``). None: all is believed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from surgical_pipeline.domain.freshness import (
    REPLICA_LAG,
    Present,
    latest_believed,
    replaces,
    shown_time,
    unbelieved_text,
)
from surgical_pipeline.domain.records import EntityRecord, ProjectRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.columns import columns, key_columns, key_of
from surgical_pipeline.ledger.payloads import storable_json, storable_text
from surgical_pipeline.ledger.protocol import Transaction

NOTHING_SAME: Mapping[EntityKey, datetime] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Misses:
    """What a run's NOT_FOUND answers led to. Each key is in exactly one of the two."""

    tombstoned: frozenset[EntityKey]
    missed: frozenset[EntityKey]


def upsert_project(
    tx: Transaction,
    run_id: str,
    project: ProjectRecord,
    fetched_at: datetime,
    *,
    present: Present | None = None,
) -> dict[int, int]:
    """Write the project unless the ledger has a later fetch of it.

    Returns the projects that are no longer current, each with the one that has its path now. GitLab has one
    project per path: the one fetched last.
    """
    upsert = {
        "project_id": project.project_id,
        "path": project.path,
        "created_at": project.created_at,
        "run_id": run_id,
        "fetched_at": fetched_at,
        "payload": storable_json(project.payload),
    }
    tx.wait_for_turn("upsert_project", **upsert)
    believed = latest_believed(present)
    tx.execute("upsert_project", believed=believed, **upsert)
    changed = tx.execute("supersede_projects", path=project.path, believed=believed)
    return {older: current for older, current in changed if current is not None}


def upsert_entities(
    tx: Transaction,
    run_id: str,
    records: Iterable[EntityRecord],
    *,
    present: Present | None = None,
    same_since: Mapping[EntityKey, datetime] = NOTHING_SAME,
) -> dict[EntityKey, tuple[str, ...]]:
    """Write the entities that are not older than the ledger's; return their keys, with what was odd about each.

    Order: ``domain.freshness.replaces``. Odd, each as a sentence, are an ``updated_at`` that went back and a
    stored fetch from the future that was not believed. An entity is live again, written or not, unless it was
    missed after this fetch began. Of two records for one entity the fresher counts. ``same_since``: of those that
    are as the ledger has them, as ``find_unchanged`` gives it.
    """
    fresh = _freshest(records)
    upsert = {"run_id": run_id, "replica_lag": REPLICA_LAG, **_entity_columns(fresh)}
    upsert["same_since"] = [same_since.get(record.key) for record in fresh]
    tx.wait_for_turn("upsert_entities", **upsert)
    believed = latest_believed(present)
    rows = tx.rows("upsert_entities", believed=believed, **upsert)
    written = {key_of(row): tuple(_oddities(row, believed=believed)) for row in rows}
    stale = [record for record in fresh if record.key not in written]
    if stale:
        _clear_misses(tx, run_id, stale, believed=believed)
    return written


def _oddities(row: Mapping[str, Any], *, believed: datetime) -> Iterator[str]:
    if row["replaced_fetched_at"] is None:
        return
    if row["replaced_fetched_at"] > believed:
        yield unbelieved_text("it", row["replaced_fetched_at"])
    if row["replaced_updated_at"] > row["updated_at"]:
        went = f"from {shown_time(row['replaced_updated_at'])} to {shown_time(row['updated_at'])}"
        yield f"its updated_at went back {went}; the later fetch counts"


def _clear_misses(tx: Transaction, run_id: str, stale: Sequence[EntityRecord], *, believed: datetime) -> None:
    """GitLab returned them, even if with an older ``updated_at`` (a backup, a lagging replica): not a miss."""
    found = [
        (record.project_id, str(record.key.entity_type), record.key.iid, record.fetched_at) for record in stale
    ]
    names = ("project_id", "entity_type", "iid", "fetched_at")
    tx.execute("clear_misses", run_id=run_id, believed=believed, **columns(found, *names))


def _freshest(records: Iterable[EntityRecord]) -> list[EntityRecord]:
    freshest: dict[tuple[int, EntityKey], EntityRecord] = {}
    for record in sorted(records, key=lambda one: one.fetched_at):
        known = freshest.get((record.project_id, record.key))
        if known is None or replaces(record, known):
            freshest[record.project_id, record.key] = record
    # In the order of their keys: of windows that write the same at once, no two wait for each other.
    return [freshest[one] for one in sorted(freshest)]


def _entity_columns(records: Sequence[EntityRecord]) -> dict[str, list[Any]]:
    return {
        "project_id": [record.project_id for record in records],
        "entity_type": [str(record.key.entity_type) for record in records],
        "iid": [record.key.iid for record in records],
        "gitlab_id": [record.gitlab_id for record in records],
        "title": [storable_text(record.title) for record in records],
        "state": [record.state for record in records],
        "updated_at": [record.updated_at for record in records],
        "confidential": [record.confidential for record in records],
        "moved_to_id": [record.moved_to_id for record in records],
        "sha": [record.sha for record in records],
        "target_branch": [record.target_branch for record in records],
        "target_project_id": [record.target_project_id for record in records],
        "fetched_at": [record.fetched_at for record in records],
        "payload": [storable_json(record.payload) for record in records],
    }


def _keys(rows: Iterable[tuple[str, int]]) -> frozenset[EntityKey]:
    return frozenset(EntityKey(EntityType(entity_type), iid) for entity_type, iid in rows)


def record_misses(
    tx: Transaction,
    run_id: str,
    project_id: int,
    keys: Collection[EntityKey],
    *,
    missed_at: datetime,
    present: Present | None = None,
) -> Misses:
    """Record that GitLab answered without these entities. ``missed_at``: when the asking began, by GitLab's clock.

    The first miss marks the row. A second one by another run, with no successful fetch between, tombstones it with
    its documents and deletes their embeddings. What was fetched after ``missed_at``, what is deleted already and
    what the ledger never had is only missed. The same run may repeat this and gets the same answer.
    """
    if not keys:
        return Misses(frozenset(), frozenset())
    miss = {"run_id": run_id, "project_id": project_id, "missed_at": missed_at, **key_columns(keys)}
    tx.wait_for_turn("tombstone_entities", **miss)
    miss["believed"] = latest_believed(present)
    tombstoned = _keys(tx.execute("tombstone_entities", **miss))
    tx.execute("mark_missed", **miss)
    if tombstoned:
        documents = tx.column(
            "tombstone_documents_of_entities",
            run_id=run_id,
            project_id=project_id,
            deleted_at=missed_at,
            **key_columns(tombstoned),
        )
        tx.execute("delete_embeddings", document_ids=documents)
    return Misses(tombstoned=tombstoned, missed=frozenset(keys) - tombstoned)
