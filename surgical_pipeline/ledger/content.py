"""Projects, issues and merge requests: fresher replaces older, and what GitLab lost is marked, then tombstoned."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from surgical_pipeline.domain.records import EntityRecord, ProjectRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.columns import columns, key_columns
from surgical_pipeline.ledger.payloads import storable_json, storable_text
from surgical_pipeline.ledger.protocol import Transaction

_TABLES = {EntityType.ISSUE: "issues", EntityType.MERGE_REQUEST: "merge_requests"}


@dataclass(frozen=True, slots=True)
class Misses:
    """What a run's NOT_FOUND answers led to. Each key is in exactly one of the two."""

    tombstoned: frozenset[EntityKey]
    missed: frozenset[EntityKey]


def upsert_project(tx: Transaction, run_id: str, project: ProjectRecord, fetched_at: datetime) -> None:
    """Write the project unless the ledger has a later fetch of it."""
    tx.execute(
        "upsert_project",
        project_id=project.project_id,
        path=project.path,
        run_id=run_id,
        fetched_at=fetched_at,
        payload=storable_json(project.payload),
    )


def upsert_entities(tx: Transaction, run_id: str, records: Iterable[EntityRecord]) -> frozenset[EntityKey]:
    """Write those that are not older than what the ledger has, and give their keys.

    Order: ``(updated_at, fetched_at)``; equal is written, so a repeated write does the same again. An entity is
    live again, written or not, unless it was missed after this fetch began. Of two records for one entity the
    fresher counts.
    """
    fresh = _freshest(records)
    written: set[EntityKey] = set()
    for entity_type in EntityType:
        rows = [record for record in fresh if record.key.entity_type is entity_type]
        if rows:
            iids = tx.column(f"upsert_{_TABLES[entity_type]}", run_id=run_id, **_COLUMNS[entity_type](rows))
            written |= {EntityKey(entity_type, iid) for iid in iids}
            stale = [record for record in rows if record.key not in written]
            if stale:
                _clear_misses(tx, run_id, entity_type, stale)
    return frozenset(written)


def _clear_misses(tx: Transaction, run_id: str, entity_type: EntityType, stale: Sequence[EntityRecord]) -> None:
    """GitLab gave them, if with an ``updated_at`` that went back (a backup, a replica that lags): no miss."""
    found = [(record.project_id, record.key.iid, record.fetched_at) for record in stale]
    tx.execute(
        f"clear_misses_{_TABLES[entity_type]}", run_id=run_id, **columns(found, "project_id", "iid", "fetched_at")
    )


def _freshest(records: Iterable[EntityRecord]) -> list[EntityRecord]:
    by_age = sorted(records, key=lambda record: (record.updated_at, record.fetched_at))
    return list({(record.project_id, record.key): record for record in by_age}.values())


def _issue_columns(records: Sequence[EntityRecord]) -> dict[str, list[Any]]:
    return _shared_columns(records) | {"moved_to_id": [record.moved_to_id for record in records]}


def _merge_request_columns(records: Sequence[EntityRecord]) -> dict[str, list[Any]]:
    own = [(record.sha, record.target_branch, record.target_project_id) for record in records]
    return _shared_columns(records) | columns(own, "sha", "target_branch", "target_project_id")


_COLUMNS = {EntityType.ISSUE: _issue_columns, EntityType.MERGE_REQUEST: _merge_request_columns}


def _shared_columns(records: Sequence[EntityRecord]) -> dict[str, list[Any]]:
    return {
        "project_id": [record.project_id for record in records],
        "iid": [record.key.iid for record in records],
        "gitlab_id": [record.gitlab_id for record in records],
        "title": [storable_text(record.title) for record in records],
        "state": [record.state for record in records],
        "updated_at": [record.updated_at for record in records],
        "confidential": [record.confidential for record in records],
        "fetched_at": [record.fetched_at for record in records],
        "payload": [storable_json(record.payload) for record in records],
    }


def record_misses(
    tx: Transaction, run_id: str, project_id: int, keys: Collection[EntityKey], *, missed_at: datetime
) -> Misses:
    """Note that GitLab answered without these entities. ``missed_at``: when the asking began, UTC.

    The first miss marks the row. A second one by another run, with no successful fetch between, tombstones it with
    its documents and deletes their embeddings. What was fetched after ``missed_at``, what is deleted already and
    what the ledger never had is only missed. The same run may repeat this and gets the same answer.
    """
    tombstoned: set[EntityKey] = set()
    for entity_type in EntityType:
        iids = [key.iid for key in keys if key.entity_type is entity_type]
        if iids:
            miss = {"run_id": run_id, "project_id": project_id, "iids": iids, "missed_at": missed_at}
            gone = tx.column(f"tombstone_{_TABLES[entity_type]}", **miss)
            tx.execute(f"mark_missed_{_TABLES[entity_type]}", **miss)
            tombstoned |= {EntityKey(entity_type, iid) for iid in gone}
    if tombstoned:
        documents = tx.column(
            "tombstone_documents_of_entities",
            run_id=run_id,
            project_id=project_id,
            deleted_at=missed_at,
            **key_columns(tombstoned),
        )
        tx.execute("delete_embeddings", document_ids=documents)
    return Misses(tombstoned=frozenset(tombstoned), missed=frozenset(keys) - tombstoned)
