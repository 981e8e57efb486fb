"""How a run ends in the ledger, and what a run that continues it takes over. Only the recorder calls this."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.inheritance import inherited_counters, inherited_outcome
from surgical_pipeline.domain.lifecycle import Phase, RunStatus
from surgical_pipeline.domain.outcomes import Counters, EntityOutcome, count_warnings
from surgical_pipeline.ledger import outcomes as store
from surgical_pipeline.ledger.events import settle_events
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.runs import RunSummary, counters_of_row

NOTHING_USABLE = Failure(
    code=FailureCode.INTERNAL_ERROR,
    message="the run came to its end without bringing any requested entity up to date",
    stage=Phase.EMBED,
)
_FINAL_PHASES = {
    RunStatus.SUCCEEDED: str(Phase.DONE),
    RunStatus.SUCCEEDED_WITH_WARNINGS: str(Phase.DONE),
    RunStatus.CANCELLED: str(Phase.CANCELLED),
}
"""A failed run keeps the phase it failed in."""


def end_run(
    tx: Transaction,
    run_id: str,
    *,
    status: RunStatus,
    ended_by: Failure | str | None,
    now: datetime,
    seen: RunSummary | None = None,
    known: Sequence[EntityOutcome] | None = None,
) -> bool:
    """The one step into a terminal status, for the run and every incomplete entity. False: it was not taken.

    Args:
        tx: of a write window.
        run_id: the run.
        status: terminal.
        ended_by: the failure that ended it, or why it was cancelled; None if it succeeded.
        now: when it ended.
        seen: the run as seen by a caller that considers it lost; a sign of life since then keeps it open.
        known: the run's outcomes; None: the ledger's.
    """
    run = tx.rows("load_run", run_id=run_id)
    if not run:
        return False
    phase = Phase(run[0]["phase"])
    failure = ended_by
    if isinstance(failure, str):
        failure = Failure(code=FailureCode.CANCELLED, message=failure, stage=str(phase))
    outcomes = store.load_outcomes(tx, run_id) if known is None else known
    if failure is not None:
        outcomes = list(store.with_run_failure(outcomes, failure, phase=phase))
    finished = tx.execute(
        "finish_run",
        run_id=run_id,
        status=str(status),
        phase=_FINAL_PHASES.get(status),
        now=now,
        warnings_count=count_warnings(outcomes),
        failed=sum(outcome.failure is not None for outcome in outcomes),
        failure_code=str(failure.code) if failure else None,
        failure_message=failure.message if failure else None,
        if_silent=seen is not None,
        heartbeat_at=seen.heartbeat_at if seen else None,
    )
    if not finished:
        return False
    if failure is not None:
        store.save_outcomes(tx, run_id, outcomes)
    tx.execute("close_open_phase", run_id=run_id, now=now)
    settle_events(tx, run_id, outcomes=outcomes, now=now)
    return True


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What the parent's earlier stages achieved, limited to the new run's scope."""

    project_id: int | None
    project_path: str
    outcomes: Sequence[EntityOutcome]
    counters: Counters


def inheritance_of(tx: Transaction, run_id: str, parent_run_id: str, *, phase: Phase) -> Inheritance | None:
    """For the run ``run_id``, which begins in ``phase``; None if the ledger does not know its parent."""
    parents = tx.rows("load_run", run_id=parent_run_id)
    if not parents:
        return None
    own = {outcome.key: outcome for outcome in store.load_outcomes(tx, run_id)}
    inherited = {
        outcome.key: inherited_outcome(outcome, phase=phase)
        for outcome in store.load_outcomes(tx, parent_run_id)
        if outcome.key in own
    }
    counters = inherited_counters(counters_of_row(parents[0]), list((own | inherited).values()), phase=phase)
    return Inheritance(
        parents[0]["project_id"], parents[0]["project_path"], outcomes=list(inherited.values()), counters=counters
    )
