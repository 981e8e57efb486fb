"""Which entities are as the ledger has them, read in the window that writes them anew."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.freshness import Present, latest_believed
from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.domain.unchanged import StoredEntity, is_unchanged
from surgical_pipeline.ledger.columns import key_columns, key_of
from surgical_pipeline.ledger.dependents import code_versions
from surgical_pipeline.ledger.protocol import Transaction


def find_unchanged(
    tx: Transaction,
    records: Sequence[EntityRecord],
    *,
    dependents: Collection[Dependent],
    present: Present | None,
) -> dict[EntityKey, datetime]:
    """Those of these records that change nothing, by ``domain.unchanged``, each with since when it is the same.

    Args:
        tx: the window that will write the records.
        records: of one project, just fetched.
        dependents: the run fetches these of the others.
        present: gives GitLab's present time, as in ``upsert_entities``.
    """
    if not records:
        return {}
    stored = _stored(tx, records[0].project_id, {record.key for record in records})
    believed = latest_believed(present)
    return {
        record.key: known.same_since
        for record in records
        if (known := stored.get(record.key)) is not None
        and is_unchanged(record, known, dependents=dependents, believed=believed)
    }


def _stored(tx: Transaction, project_id: int, keys: Collection[EntityKey]) -> dict[EntityKey, StoredEntity]:
    """Missed and tombstoned entities are not among them: they have changed by being there again."""
    of_these = {"project_id": project_id, **key_columns(keys)}
    live = tx.rows("load_live_entities", **of_these)
    fetches: dict[EntityKey, dict[Dependent, datetime]] = defaultdict(dict)
    for row in tx.rows("load_dependent_fetches", **of_these):
        fetches[key_of(row)][Dependent[row["dependent"].upper()]] = row["fetched_at"]
    versions = code_versions(tx, project_id, keys)
    stored = {}
    for row in live:
        key = key_of(row)
        code = versions.get(key)
        stored[key] = StoredEntity(
            payload=row["payload"],
            fetched_at=row["fetched_at"],
            same_since=row["same_since"],
            dependents=fetches[key],
            current_code=frozenset(one for one in code.known if code.has_current(one)) if code else frozenset(),
        )
    return stored
