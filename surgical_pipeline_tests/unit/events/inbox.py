"""Entities with pending events, with values that tests need not care about."""

from datetime import UTC, datetime, timedelta

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.events.debounce import Waiting

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """A moment so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def issue(iid: int) -> EntityKey:
    return EntityKey(EntityType.ISSUE, iid)


def waiting(
    iid: int = 1,
    received: tuple[float, ...] = (0,),
    *,
    project_id: int = 7,
    first_seq: int = 1,
    attempts: int = 0,
    attempted: float | None = None,
) -> Waiting:
    """An entity with fresh events that were received at those seconds, and perhaps one that was attempted."""
    tried = attempted is not None
    events = len(received) + tried
    return Waiting(
        project_id=project_id,
        project=f"acme/p{project_id}",
        key=issue(iid),
        first_seq=first_seq,
        last_seq=first_seq + events - 1,
        events=events,
        fresh=len(received),
        oldest_at=at(min(received)) if received else None,
        newest_at=at(max(received)) if received else None,
        attempts=attempts,
        attempted_at=None if attempted is None else at(attempted),
    )
