"""When a run that is still open in the ledger has in fact ended, judged from outside."""

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

STALE_AFTER = timedelta(seconds=90)
"""A run writes a heartbeat every 15 s; six missed ones are no short delay."""
BETWEEN_STAGES = timedelta(hours=1)
"""From one stage to the next where each has a process: steps of somebody else may take their turn meanwhile."""
LAUNCHED_WITHIN = timedelta(hours=1)
"""From Dagster's launch of a run to its row, if its machine's clock is wrong: it may have waited for a machine."""
START_WITHIN = timedelta(seconds=180)
"""From the start of a run's process to its row. It may wait 60 s for the ledger; and until it is known to be lost,
it takes one of Dagster's few slots."""
_CLOCKS_AGREE = timedelta(seconds=30)


class Liveness(StrEnum):
    """State of the process that works on a run, as seen from here."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"
    """On another host, in another container, or not recorded."""


class Ending(StrEnum):
    FAILED = "failed"
    """Dagster says that it failed, and why."""
    CANCELLED = "cancelled"
    DELETED = "deleted"
    """It was queued, and somebody deleted it in Dagster."""
    LOST = "lost"
    """Its process is gone without a report."""


class Signs(BaseModel):
    """What is known of a run that is queued or running in the ledger.

    ``dagster_status``: Dagster's status, None if this Dagster does not know the run; ``dagster_made_it``: whether
    it is this Dagster that made the run, so that not knowing it means something; ``dagster_started_at``: when its
    process told Dagster that it started, by its machine's clock; ``launched_at``: when Dagster launched it, by a
    clock that is right, None if that is not known; ``between_stages``: no process works on it just now, for each
    stage has its own and the next has not begun.
    """

    model_config = ConfigDict(frozen=True)

    running: bool
    liveness: Liveness
    heartbeat_at: AwareDatetime | None
    dagster_made_it: bool
    dagster_status: str | None
    dagster_started_at: AwareDatetime | None
    launched_at: AwareDatetime | None = None
    between_stages: bool = False


def judge(signs: Signs, *, now: datetime) -> Ending | None:
    """How the run has ended; None: it lives, or may live. A process that is seen alive is never declared lost."""
    if signs.dagster_status == "CANCELED":
        return Ending.CANCELLED
    if signs.dagster_status in ("FAILURE", "SUCCESS"):
        return Ending.FAILED
    if signs.dagster_made_it and signs.dagster_status is None and not signs.running:
        return None if signs.liveness is Liveness.ALIVE else Ending.DELETED
    if not _lost(signs, now):
        return None
    return Ending.CANCELLED if signs.dagster_status == "CANCELING" else Ending.LOST


def _lost(signs: Signs, now: datetime) -> bool:
    if signs.liveness is not Liveness.UNKNOWN:
        return signs.liveness is Liveness.GONE
    if signs.running:
        return _older(signs.heartbeat_at, now, BETWEEN_STAGES if signs.between_stages else STALE_AFTER)
    # It was started but never reached its first stage.
    started, launched = signs.dagster_started_at, signs.launched_at
    if started is None or launched is None or launched - _CLOCKS_AGREE <= started <= now + _CLOCKS_AGREE:
        return _older(started, now, START_WITHIN)
    return _older(launched, now, LAUNCHED_WITHIN)


def _older(moment: datetime | None, now: datetime, limit: timedelta) -> bool:
    return moment is not None and now - moment > limit
