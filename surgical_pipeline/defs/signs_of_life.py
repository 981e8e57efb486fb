"""What ledger and Dagster know of a run that is open in the ledger: the mirror judges by it whether it ended."""

from datetime import UTC, datetime

import dagster as dg

from surgical_pipeline.defs.dagster_runs import OWN_PROCESSES
from surgical_pipeline.domain.lifecycle import STAGES, RunStatus
from surgical_pipeline.domain.reconciliation import STALE_AFTER, Liveness, Signs
from surgical_pipeline.ledger.runs import RunSummary


def signs_of(
    instance: dg.DagsterInstance,
    run: RunSummary,
    record: dg.RunRecord | None,
    *,
    liveness: Liveness,
    dagster_made_it: bool,
    now: datetime,
) -> Signs:
    """``record``: Dagster's, None if it does not know the run. Dagster's log is read only where it matters."""
    silent = run.heartbeat_at is not None and now - run.heartbeat_at > STALE_AFTER
    unseen = record is not None and liveness is Liveness.UNKNOWN
    unbegun = unseen and run.status is not RunStatus.RUNNING
    return Signs(
        running=run.status is RunStatus.RUNNING,
        liveness=liveness,
        heartbeat_at=run.heartbeat_at,
        dagster_made_it=dagster_made_it,
        between_stages=unseen and silent and _is_between_stages(instance, record),
        dagster_status=record.dagster_run.status.value if record else None,
        dagster_started_at=_time(record.start_time if record else None),
        launched_at=_launched_at(instance, record) if unbegun else None,
    )


def _is_between_stages(instance: dg.DagsterInstance, record: dg.RunRecord | None) -> bool:
    if record is None or not OWN_PROCESSES.items() <= record.dagster_run.tags.items():
        return False
    return not any(
        step.end_time is None and step.step_key.rpartition(".")[2] in STAGES
        for step in instance.get_run_step_stats(record.dagster_run.run_id)
    )


def _launched_at(instance: dg.DagsterInstance, record: dg.RunRecord | None) -> datetime | None:
    """By the clock of Dagster's daemon. None: it has not started, so nothing depends on it."""
    if record is None or record.start_time is None:
        return None
    return _time(getattr(instance.get_run_stats(record.dagster_run.run_id), "launch_time", None))


def _time(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, tz=UTC)
