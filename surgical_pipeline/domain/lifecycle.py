"""The life of a run: its statuses and phases, which change is allowed, and how its ending is decided."""

from collections.abc import Iterable
from enum import StrEnum

from surgical_pipeline.domain.outcomes import EntityOutcome


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SUCCEEDED_WITH_WARNINGS = "succeeded_with_warnings"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """A terminal status is final: nothing changes it later."""
        return self not in (RunStatus.QUEUED, RunStatus.RUNNING)


class Phase(StrEnum):
    """The phase that a run is in. A failed run keeps the phase it failed in."""

    QUEUED = "queued"
    PREFLIGHT = "preflight"
    INGEST = "ingest"
    DEPENDENTS = "dependents"
    DOCS = "docs"
    EMBED = "embed"
    DONE = "done"
    CANCELLED = "cancelled"


STAGES = (Phase.PREFLIGHT, Phase.INGEST, Phase.DEPENDENTS, Phase.DOCS, Phase.EMBED)


def as_stage(phase: Phase) -> Phase:
    """The phase, if a run can enter it.

    Raises:
        ValueError: it is not one of the five stages; the other phases belong to endings.
    """
    if phase not in STAGES:
        raise ValueError(f"{phase} is no stage; a run comes to it by its ending")
    return phase


class RunMode(StrEnum):
    SURGICAL = "surgical"
    INCREMENTAL = "incremental"
    BACKFILL = "backfill"


class Trigger(StrEnum):
    LAUNCHPAD = "launchpad"
    SENSOR = "sensor"
    BACKFILL = "backfill"
    CLI = "cli"


TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    # A run can end before its first stage began: cancelled in the queue, or its process never started.
    RunStatus.QUEUED: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.CANCELLED}),
    RunStatus.RUNNING: frozenset(
        {RunStatus.SUCCEEDED, RunStatus.SUCCEEDED_WITH_WARNINGS, RunStatus.FAILED, RunStatus.CANCELLED}
    ),
    RunStatus.SUCCEEDED: frozenset(),
    RunStatus.SUCCEEDED_WITH_WARNINGS: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
}


def may_change(current: RunStatus, new: RunStatus) -> bool:
    return new in TRANSITIONS[current]


def conclude(outcomes: Iterable[EntityOutcome]) -> RunStatus:
    """The status of a run that completed all stages, from the outcome of each requested entity.

    No requested entity is usable: failed. Any failure or warning: succeeded with warnings.
    An entity that GitLab deleted and that we tombstoned is usable (the local copy is now right) but
    carries its NOT_FOUND, so it warns.
    """
    usable = False
    warned = False
    for outcome in outcomes:
        usable = usable or outcome.usable
        warned = warned or outcome.has_warning
    if not usable:
        return RunStatus.FAILED
    return RunStatus.SUCCEEDED_WITH_WARNINGS if warned else RunStatus.SUCCEEDED
