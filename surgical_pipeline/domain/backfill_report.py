"""What machines read about a backfill: where it stands, and what a command came to."""

from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict

from surgical_pipeline.domain.backfill import BackfillPlan, BackfillProgress


class BackfillState(StrEnum):
    """Where a backfill stands, in our words."""

    RUNNING = "running"
    CANCELLING = "cancelling"
    FAILING = "failing"
    """Something of Dagster's own failed; it ends the runs."""
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    """It is over, and some of its runs failed, were cancelled or never began."""
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def over(self) -> bool:
        return self not in (BackfillState.RUNNING, BackfillState.CANCELLING, BackfillState.FAILING)


class BackfillStatus(BaseModel):
    """What `backfill status --json` prints.

    Args:
        dagster_status: Dagster's word for the backfill, beside ours in ``state``.
        resumes: the backfill that this one resumes; ``resumed_by``: those that resume it, whose runs count too.
        runs: of the ledger, by status; ``dagster_runs``: the same of Dagster.
        disagreements: sentences; empty if ledger and Dagster agree and nothing is left over.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: int = 1
    backfill_id: str
    title: str | None
    state: BackfillState
    dagster_status: str
    local: bool
    only_changed: bool
    made_at: AwareDatetime
    ended_at: AwareDatetime | None
    resumes: str | None
    resumed_by: tuple[str, ...]
    progress: BackfillProgress
    runs: dict[str, int]
    dagster_runs: dict[str, int]
    disagreements: tuple[str, ...]
    left: int
    """Entities that `backfill resume` would take, if the backfill were over now."""


class BackfillResult(BaseModel):
    """What `backfill start --json` and `backfill resume --json` print.

    Args:
        plan: what was planned.
        backfill_id: None if nothing was launched.
        under_way: the same backfill was under way before, so no other was launched.
        shown_to_the_end: whether ``status`` is what became of it; else it goes on.
        status: the last known state; None if nothing was launched.
    """

    schema_version: int = 1
    plan: BackfillPlan
    backfill_id: str | None = None
    under_way: bool = False
    shown_to_the_end: bool = False
    status: BackfillStatus | None = None
