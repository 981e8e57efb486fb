"""When an answer of GitLab can be trusted to be its latest state. All times are by GitLab's clock."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from surgical_pipeline.domain.records import EntityRecord

THROTTLE = timedelta(seconds=60)
"""GitLab writes ``updated_at`` for notes and labels at most once in this time."""

REPLICA_LAG = timedelta(seconds=60)
"""How far GitLab's read replicas may lag: of two fetches begun closer together, either may be older."""

CLOCK_MARGIN = timedelta(seconds=5)
"""GitLab's clock is known to about a second, by each machine for itself."""

SETTLING_TIME = THROTTLE + REPLICA_LAG + CLOCK_MARGIN
"""So long after ``updated_at`` even the replica that lags most shows all that did not move it."""

END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def is_settled(updated_at: datetime, fetched_at: datetime) -> bool:
    """Whether any later change of the entity will show in its ``updated_at``.

    If it was fetched sooner, a note or label may leave ``updated_at`` unchanged after the fetch, or a replica that
    lags may not have shown it yet, and comparing timestamps would never show it: it needs one more fetch.
    """
    return fetched_at - updated_at >= SETTLING_TIME


def replaces(new: EntityRecord, stored: EntityRecord) -> bool:
    """Whether a fetch of an entity replaces another; the guard of ``upsert_entities`` is the same rule.

    The later fetch wins, regardless of ``updated_at``: owners set it, and backups set it back. Only if a lagging
    replica may have answered one of them does the later ``updated_at`` count first. An equal fetch replaces, so
    that a repeated write has the same effect.
    """
    if abs(new.fetched_at - stored.fetched_at) > REPLICA_LAG:
        return new.fetched_at > stored.fetched_at
    return (new.updated_at, new.fetched_at) >= (stored.updated_at, stored.fetched_at)


Present = Callable[[], datetime | None]
"""Gives GitLab's present time; None: it is not known."""


def latest_believed(present: Present | None) -> datetime:
    """The latest stored ``fetched_at`` that is believed: one in GitLab's future comes from a wrong clock.

    ``present`` is asked now, which must be when nobody else can write what it judges. None, or if it is not known:
    all is believed.
    """
    moment = present() if present is not None else None
    return END_OF_TIME if moment is None else moment + CLOCK_MARGIN


def shown_time(moment: datetime) -> str:
    """A time of GitLab's clock, as warnings show it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def unbelieved_text(what: str, fetched_at: datetime) -> str:
    """The warning of a run that overwrote what was stored as fetched in GitLab's future."""
    return (
        f"the ledger had {what} as fetched at {shown_time(fetched_at)}, in the future of GitLab's clock: "
        "not believed, and written anew"
    )
