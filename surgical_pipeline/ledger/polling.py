"""What the ledger tells the sensor that polls; it only reads.

``ahead``: how far GitLab's clock is ahead of this machine's, by which runs and hooks are dated. All times that are
given or taken here are GitLab's.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from surgical_pipeline.domain.listing import ListedEntity
from surgical_pipeline.events.list_state import Identity, Standing
from surgical_pipeline.events.poll_report import Announced
from surgical_pipeline.ledger.columns import key_of
from surgical_pipeline.ledger.events import HEARD_WITHIN
from surgical_pipeline.ledger.protocol import Transaction

SOON = timedelta(minutes=2)
"""A hook that comes later than this after the change did not announce it."""
_EARLY = timedelta(minutes=1)
"""How much earlier than the change it may seem to come: clocks differ, and GitLab throttles ``updated_at``."""


@dataclass(frozen=True, slots=True)
class WatchedProject:
    """A current project of the ledger. ``fetched_at``: when the newest fetch of an entity of it began."""

    project_id: int
    path: str
    fetched_at: datetime | None


def load_standings(tx: Transaction, rows: Sequence[ListedEntity], *, ahead: timedelta) -> dict[Identity, Standing]:
    """How far the ledger is with each of these."""
    if not rows:
        return {}
    found = tx.rows(
        "load_standings",
        project_id=[row.project_id for row in rows],
        project=[row.project for row in rows],
        entity_type=[str(row.key.entity_type) for row in rows],
        iid=[row.key.iid for row in rows],
        changed_at=[row.updated_at - ahead for row in rows],
        heard_since=tx.now - HEARD_WITHIN,
    )
    return {
        (row["project_id"], key_of(row)): Standing(
            updated_at=row["updated_at"],
            fetched_at=row["fetched_at"],
            complete=row["complete"],
            queued=row["queued"] > 0,
            running=row["running"] > 0,
            tries=row["tries"],
            tried_at=row["tried_at"] and row["tried_at"] + ahead,
        )
        for row in found
    }


def load_watched_projects(tx: Transaction) -> list[WatchedProject]:
    """All current projects, by id."""
    return [WatchedProject(**row) for row in tx.rows("load_newest_fetches")]


def count_announced(
    tx: Transaction, project_ids: Collection[int], *, since: datetime, until: datetime, ahead: timedelta
) -> Announced:
    """How many of the changes from ``since`` on, and before ``until``, hooks told of."""
    (row,) = tx.rows(
        "count_announced_changes",
        project_ids=sorted(project_ids),
        since=since,
        until=until,
        ahead=ahead,
        early=_EARLY,
        soon=SOON,
    )
    last_at = row["last_at"]
    return Announced(row["changes"], row["told"], last_at and last_at + ahead)
