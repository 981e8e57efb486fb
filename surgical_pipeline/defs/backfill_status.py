"""What became of a backfill: its entities by the ledger, and where Dagster says otherwise."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import dagster as dg

from surgical_pipeline.defs.backfill_records import (
    Backfill,
    daemon_runs,
    daemon_seen,
    in_ledger,
    resumed_by,
    runs_of,
)
from surgical_pipeline.domain.backfill import BackfillProgress, LastFailure
from surgical_pipeline.domain.backfill_report import BackfillState, BackfillStatus
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.domain.scope import EntityKey, Scope
from surgical_pipeline.domain.words import counted
from surgical_pipeline.ledger.backfills import load_last_failures, load_progress, load_runs
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import RunSummary

_SAME = {
    RunStatus.SUCCEEDED: "SUCCESS",
    RunStatus.SUCCEEDED_WITH_WARNINGS: "SUCCESS",
    RunStatus.FAILED: "FAILURE",
    RunStatus.CANCELLED: "CANCELED",
}


def status_of(instance: dg.DagsterInstance, ledger: Ledger, backfill: Backfill) -> BackfillStatus:
    """The whole, with the runs of those that resumed it.

    Raises:
        LedgerError: the ledger cannot be read now.
    """
    more = resumed_by(instance, backfill)
    runs = runs_of(instance, [backfill, *more])
    known = _known(ledger, runs)
    progress = progress_of(ledger, backfill, runs)
    return BackfillStatus(
        backfill_id=backfill.id,
        title=backfill.record.title,
        state=backfill.state,
        dagster_status=backfill.record.status.value,
        local=backfill.worker is not None,
        only_changed=backfill.only_changed,
        made_at=backfill.made_at,
        ended_at=backfill.ended_at,
        resumes=backfill.resumes,
        resumed_by=tuple(one.id for one in more),
        progress=progress,
        runs=dict(Counter(str(run.status) for run in known.values())),
        dagster_runs=dict(Counter(run.status.value for run in runs)),
        disagreements=tuple(_disagreements(instance, backfill, runs=runs, known=known, progress=progress)),
        left=sum(map(len, left_of(ledger, backfill, runs))),
    )


def progress_of(ledger: Ledger, backfill: Backfill, runs: Sequence[dg.DagsterRun]) -> BackfillProgress:
    """Counts of the backfill's entities, for whoever shows its progress. ``runs``: as `runs_of` gives them.

    Raises:
        LedgerError: the ledger cannot be read now.
    """
    nothing_yet = BackfillProgress(entities=backfill.entities, waiting=backfill.entities)
    if ledger.exists:
        with ledger.read("backfill") as tx:
            nothing_yet = load_progress(tx, in_ledger(runs), entities=backfill.entities)
    return nothing_yet.model_copy(update={"runs": max(len(backfill.keys), len(runs))})


def left_of(ledger: Ledger, backfill: Backfill, runs: Sequence[dg.DagsterRun]) -> list[Scope]:
    """What somebody who resumes the backfill wants: what no run came to an end with, and what may yet succeed.

    Raises:
        LedgerError: the ledger cannot be read now.
    """
    failures: list[LastFailure] = []
    had: set[tuple[str, EntityKey]] = set()
    if ledger.exists:
        known = in_ledger(runs)
        with ledger.read("backfill") as tx:
            failures = load_last_failures(tx, known)
            in_rows = load_runs(tx, [one.run_id for one in known])
        had = set(_named(Scope.parse(run.scope) for run in in_rows if run.status.terminal))
    again = {(one.project, EntityKey(one.entity_type, one.iid)) for one in failures if one.worth_another_try}
    left: dict[str, set[EntityKey]] = {}
    for project, key in _named(backfill.scopes):
        if (project, key) in again or (project, key) not in had:
            left.setdefault(project, set()).add(key)
    return [Scope.of_keys(project, keys) for project, keys in left.items()]


def _named(scopes: Iterable[Scope]) -> Iterator[tuple[str, EntityKey]]:
    for scope in scopes:
        for key in tuple(scope.keys()):
            yield scope.project, key


def _known(ledger: Ledger, runs: Sequence[dg.DagsterRun]) -> Mapping[str, RunSummary]:
    if not ledger.exists:
        return {}
    with ledger.read("backfill") as tx:
        return {run.run_id: run for run in load_runs(tx, [run.run_id for run in runs])}


def _disagreements(
    instance: dg.DagsterInstance,
    backfill: Backfill,
    *,
    runs: Sequence[dg.DagsterRun],
    known: Mapping[str, RunSummary],
    progress: BackfillProgress,
) -> Iterator[str]:
    apart = [run for run in runs if not _agree(run, known.get(run.run_id))]
    if apart:
        yield (
            f"{counted(len(apart), 'run', 'runs')} ended in one of ledger and Dagster and not, or otherwise, in "
            f"the other, such as {apart[0].run_id}: `surgical-pipeline runs reconcile` makes them agree"
        )
    bad = progress.failed + progress.missing
    if backfill.state is BackfillState.COMPLETED and bad:
        failed = counted(bad, "entity", "entities")
        yield f"to Dagster it is complete, for its runs came to their end; {failed} failed all the same"
    if backfill.state.over and progress.waiting:
        yield f"it is over, and {counted(progress.waiting, 'entity', 'entities')} of it never began"
    if backfill.state is BackfillState.RUNNING and progress.all_ended:
        yield "all of its runs have ended; Dagster's daemon looks every 30 s, and calls it over then"
    if not backfill.state.over and backfill.worker is None and not daemon_runs(instance, utc_now()):
        seen = daemon_seen(instance)
        when = f"for {(utc_now() - seen).total_seconds():.0f} s" if seen else "yet"
        yield f"Dagster has it as under way, but its daemon has given no sign of life {when}: start `dagster dev`"


def _agree(run: dg.DagsterRun, known: RunSummary | None) -> bool:
    """A run that has not ended in either is fine: the ledger learns of it when it begins, or soon before."""
    if known is None or not known.status.terminal:
        return not run.is_finished
    return run.is_finished and run.status.value == _SAME[known.status]
