"""When what GitLab answered can be trusted to be its last word. All times are those of GitLab's clock."""

from datetime import UTC, datetime, timedelta

from surgical_pipeline.domain.records import EntityRecord

SETTLING_TIME = timedelta(seconds=65)
"""GitLab writes ``updated_at`` for notes and labels at most once in 60 s; 5 s are for clocks that differ."""

REPLICA_LAG = timedelta(seconds=60)
"""How far behind GitLab's read replicas may answer: of two fetches begun closer together, either may be older."""

CLOCK_MARGIN = timedelta(seconds=5)
"""GitLab's clock is known to about a second, by each machine for itself."""

END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def is_settled(updated_at: datetime, fetched_at: datetime) -> bool:
    """Whether any later change of the entity will show in its ``updated_at``.

    Fetched sooner than that, a note or label that came right after the fetch may leave ``updated_at`` as it is,
    and nobody who compares timestamps would ever notice: such an entity deserves one more fetch.
    """
    return fetched_at - updated_at >= SETTLING_TIME


def replaces(new: EntityRecord, stored: EntityRecord) -> bool:
    """Whether a fetch of an entity takes the place of another; the guard of ``upsert_entities`` says the same.

    The order of fetches is the order of truth, whatever ``updated_at`` says: owners set it, backups go back. Only
    where a replica that lags may have answered one of them does the later ``updated_at`` count first. Equal
    replaces, so that a repeated write does the same again.
    """
    if abs(new.fetched_at - stored.fetched_at) > REPLICA_LAG:
        return new.fetched_at > stored.fetched_at
    return (new.updated_at, new.fetched_at) >= (stored.updated_at, stored.fetched_at)


def latest_believed(present: datetime | None) -> datetime:
    """Up to when a stored ``fetched_at`` is believed: one in GitLab's future comes from a clock that was wrong.

    ``present``: GitLab's present time when the ledger is written; None where it is not known: all is believed.
    """
    return END_OF_TIME if present is None else present + CLOCK_MARGIN


def shown_time(moment: datetime) -> str:
    """A time of GitLab's clock as warnings tell it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def unbelieved_text(what: str, fetched_at: datetime) -> str:
    """The warning of a run that wrote over what was stored as fetched in GitLab's future."""
    return (
        f"the ledger had {what} as fetched at {shown_time(fetched_at)}, in the future of GitLab's clock: "
        "not believed, and written anew"
    )
