"""What became of an event when a run that was asked for its entity ended.

A run *takes* an event if it was asked for because of it. Such a run's fetch began after the event was received,
for the sensor had read it in the inbox before there was a run: no clocks need be compared, and an event is done
with the first run that it caused, signed or not. For all other runs the order is told by clocks: the fetch by
GitLab's, and the event by GitLab's if the hook was signed, else by the receiver's, which may be wrong by up to a
minute. If that is not enough to tell, the event stays as it is, which costs a sync and no attempt.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.freshness import REPLICA_LAG
from surgical_pipeline.domain.outcomes import EntityOutcome, failures_of
from surgical_pipeline.events.debounce import MAX_ATTEMPTS

SIGNED_MARGIN = timedelta(seconds=2)
"""GitLab's time in a hook has whole seconds, and the time of a fetch is known to about one."""
UNSIGNED_MARGIN = timedelta(minutes=1)
"""How far the receiver's clock may be behind GitLab's."""
UNKNOWN_ATTEMPTS = 3
"""GitLab's replicas may lag by a minute: what so many attempts, over two minutes, did not find is not there."""

_LAGGED = "GitLab answered with an older state than the ledger has"


@dataclass(frozen=True, slots=True)
class Pending:
    """A pending event; ``sent_at`` is GitLab's time, of signed hooks alone, ``received_at`` the receiver's.

    ``updated_at``: the entity's, as the hook gave it; None if the hook is not about the entity itself.
    """

    key: str
    seq: int
    received_at: datetime
    sent_at: datetime | None = None
    attempts: int = 0
    updated_at: datetime | None = None

    @property
    def fetched_since(self) -> datetime:
        """A fetch that began at this time of GitLab's clock, or later, shows what the event tells of."""
        return self.received_at + UNSIGNED_MARGIN if self.sent_at is None else self.sent_at + SIGNED_MARGIN


@dataclass(frozen=True, slots=True)
class Stored:
    """What the ledger has of the event's entity.

    ``fetched_at``: when the oldest of its own fetch and those of its core dependents began, by GitLab's clock;
    None if not all of them are there. ``updated_at``: as GitLab gave it.
    """

    known: bool
    fetched_at: datetime | None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``state``: as in ``gitlab_events``; ``attempts``: from now on; ``reason``: why it is not done."""

    key: str
    state: str
    attempts: int
    reason: str | None = None


def judge(event: Pending, outcome: EntityOutcome, *, stored: Stored, taken: bool) -> Verdict | None:
    """What became of the event by a run that ended with this outcome of its entity; None: it stays as it is.

    ``stored``: after the run. ``taken``: whether the run was asked for because of the event.
    """
    if _is_done(event, outcome, stored=stored, taken=taken):
        return Verdict(event.key, "done", event.attempts)
    if not taken:
        return None
    failures = failures_of(outcome)
    attempts = event.attempts + 1
    missing = outcome.failure is not None and outcome.failure.code is FailureCode.NOT_FOUND
    if missing and not stored.known and attempts >= UNKNOWN_ATTEMPTS:
        reason = "GitLab's API does not give it, and the ledger never had it"
        return Verdict(event.key, "ignored", attempts, reason)
    reason = f"{failures[0].failure.code}: {failures[0].failure.message}" if failures else _LAGGED
    return Verdict(event.key, "dead" if attempts >= MAX_ATTEMPTS else "pending", attempts, reason)


def _is_done(event: Pending, outcome: EntityOutcome, *, stored: Stored, taken: bool) -> bool:
    if taken and outcome.tombstoned:
        return True  # GitLab no longer has it, and the ledger says so
    if not outcome.fetched or outcome.failure or outcome.dependent_failures:
        return False
    if _lags(event, stored):
        return False
    if taken and outcome.ingested:
        return True
    return stored.fetched_at is not None and stored.fetched_at >= event.fetched_since


def _lags(event: Pending, stored: Stored) -> bool:
    """Whether a replica answered that had not heard of the change yet.

    After the longest lag an older ``updated_at`` is the truth: owners can turn it back.
    """
    if event.updated_at is None or stored.updated_at is None or stored.updated_at >= event.updated_at:
        return False
    return stored.fetched_at is None or stored.fetched_at < event.updated_at + REPLICA_LAG
