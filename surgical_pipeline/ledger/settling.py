"""What the ledger says about entities that may have changed unseen: the settle rule. It only reads."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from surgical_pipeline.domain.freshness import SETTLING_TIME
from surgical_pipeline.events.settling import PREPARED_WITHIN, Unsettled, are_due
from surgical_pipeline.ledger.columns import columns, key_of
from surgical_pipeline.ledger.events import HEARD_WITHIN
from surgical_pipeline.ledger.protocol import Transaction

LATELY = timedelta(days=1)
"""Merge requests that were fetched earlier and are still not prepared are left to sweeps: whether one is prepared
stands in its payload, and no tick can read all of those."""


def due_entities(
    tx: Transaction, *, now: datetime, projects: Collection[int] | None = None, limit: int = 1000
) -> list[Unsettled]:
    """Entities that are to be fetched once more now, the last fetched first; none of a run that has not ended.

    Args:
        tx: of a read window.
        now: by GitLab's clock, or by this machine's: an entity is not asked for again sooner than 30 s later.
        projects: ids of the projects to look at; None: all current ones.
        limit: how many are looked at.
    """
    rows = tx.rows(
        "list_unsettled_entities",
        now=now,
        lately=now - LATELY,
        heard_since=tx.now - HEARD_WITHIN,
        settling=SETTLING_TIME,
        prepared_within=PREPARED_WITHIN,
        project_ids=None if projects is None else sorted(projects),
        limit=limit,
    )
    if not rows:
        return []
    names = ("project_id", "project", "entity_type", "iid", "fetched_at", "run_id")
    given = columns([[row[name] for name in names] for row in rows], *names)
    tries = {(row["project_id"], key_of(row)): row for row in tx.rows("list_tries", **given)}
    return are_due([_with_tries(_unsettled(row), tries) for row in rows], now)


def _unsettled(row: dict[str, Any]) -> Unsettled:
    return Unsettled(
        project_id=row["project_id"],
        project=row["project"],
        key=key_of(row),
        updated_at=row["updated_at"],
        fetched_at=row["fetched_at"],
        preparing_since=row["preparing_since"],
    )


def _with_tries(one: Unsettled, tries: dict[Any, dict[str, Any]]) -> Unsettled:
    row = tries.get(one.identity)
    return one if row is None else replace(one, tries=row["tries"], tried_at=row["tried_at"])
