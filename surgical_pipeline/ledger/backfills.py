"""What became of a backfill, by the runs that it had: which runs those are, Dagster knows."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from surgical_pipeline.domain.backfill import BackfillProgress, EntityState, LastFailure
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger.columns import columns
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.runs import RunSummary


@dataclass(frozen=True, slots=True)
class RunOf:
    """A run of a backfill. ``project``: as its scope names it."""

    run_id: str
    project: str


def load_progress(tx: Transaction, runs: Sequence[RunOf], *, entities: int) -> BackfillProgress:
    """Entities by state; those that no run in the ledger has are waiting.

    Args:
        tx: of any window.
        runs: the backfill's, in the order in which they were made.
        entities: how many it has.
    """
    states: Counter[EntityState] = Counter()
    failures: Counter[FailureCode] = Counter()
    for state, code, count in tx.execute("count_backfill_entities", **_given(runs)):
        states[EntityState(state)] += count
        if code is not None:
            failures[FailureCode[code]] += count
    ended = sum(run.status.terminal for run in load_runs(tx, [run.run_id for run in runs]))
    started = sum(states.values()) - states[EntityState.WAITING]
    return BackfillProgress(
        entities=entities,
        done=states[EntityState.DONE] + states[EntityState.UNCHANGED],
        unchanged=states[EntityState.UNCHANGED],
        missing=states[EntityState.MISSING],
        failed=states[EntityState.FAILED],
        running=states[EntityState.RUNNING] + states[EntityState.WRITTEN],
        written=states[EntityState.WRITTEN],
        waiting=max(0, entities - started),
        runs_ended=ended,
        failures=dict(failures),
    )


def load_last_failures(tx: Transaction, runs: Sequence[RunOf]) -> list[LastFailure]:
    """What failed, and still has by the last run that had it; ``runs`` as for `load_progress`."""
    return [LastFailure.model_validate(row) for row in tx.rows("load_backfill_failures", **_given(runs))]


def load_runs(tx: Transaction, run_ids: Collection[str]) -> list[RunSummary]:
    """Those of these runs that the ledger knows."""
    return [RunSummary.model_validate(row) for row in tx.rows("runs_by_id", run_ids=list(run_ids))]


def _given(runs: Sequence[RunOf]) -> dict[str, Any]:
    rows = [(run.run_id, run.project, position) for position, run in enumerate(runs)]
    return columns(rows, "run_ids", "projects", "positions")
