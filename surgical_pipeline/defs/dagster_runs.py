"""What a Dagster run says about itself: whether it is one of ours, its scope and mode, and who triggered it."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from surgical_pipeline.defs.sync.config import GRAPH, scope_of_run
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.scope import Scope, ScopeError
from surgical_pipeline.ledger.process import ProcessIdentity

SYNC_JOB = "surgical_sync_job"
BACKFILL_JOB = "surgical_backfill_job"
TRIGGER_TAG = "surgical/trigger"
HOST_TAG, PID_TAG, PROCESS_TAG = "surgical/host", "surgical/pid", "surgical/process"
"""Which process will run it, on runs of the command line: it may be killed before the run has its row."""
LEDGER_TAG = "surgical/ledger"
"""Name of the ledger that the run has begun to write to."""
_PARTITION_TAG = "dagster/partition"
_IMPLICIT_JOB = "__ASSET_JOB"
"""Dagster's job name for a run that materializes chosen assets."""
_FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
NOT_FINISHED = [status for status in dg.DagsterRunStatus if status not in _FINISHED]
"""The statuses of runs that are not ``is_finished``."""


def is_surgical(run: dg.DagsterRun) -> bool:
    """Whether the run belongs in the ledger."""
    if run.job_name in (SYNC_JOB, BACKFILL_JOB):
        return True
    return run.job_name.startswith(_IMPLICIT_JOB) and bool(config_block(run))


def is_cancelled(run: dg.DagsterRun) -> bool:
    """Whether somebody asked to end it."""
    return run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def mode_of(run: dg.DagsterRun) -> RunMode:
    return RunMode.BACKFILL if _PARTITION_TAG in run.tags else RunMode.SURGICAL


def trigger_of(run: dg.DagsterRun) -> Trigger:
    """Who created the run: the command line sets it, Dagster's tags say the rest."""
    if TRIGGER_TAG in run.tags:
        return Trigger(run.tags[TRIGGER_TAG])
    if "dagster/backfill" in run.tags:
        return Trigger.BACKFILL
    return Trigger.SENSOR if "dagster/sensor_name" in run.tags else Trigger.LAUNCHPAD


def scope_of(run: dg.DagsterRun) -> Scope | str:
    """The run's scope; as a text if its ops will refuse it."""
    partition = run.tags.get(_PARTITION_TAG)
    block = config_block(run)
    try:
        return scope_of_run(block, partition)
    except ScopeError:
        return f"refused: {partition if partition is not None else block.get('project', '')}"


def worker_tags(worker: ProcessIdentity) -> dict[str, str]:
    """The tags from which `worker_of` reads."""
    return {HOST_TAG: worker.host, PID_TAG: str(worker.pid), PROCESS_TAG: worker.mark or ""}


def worker_of(run: dg.DagsterRun) -> ProcessIdentity | None:
    """The process that created the run to run it itself; None if Dagster starts one."""
    tags = run.tags
    if PID_TAG not in tags:
        return None
    return ProcessIdentity(tags[HOST_TAG], int(tags[PID_TAG]), tags[PROCESS_TAG] or None)


def config_block(run: dg.DagsterRun) -> Mapping[str, Any]:
    """The block of run config that a person wrote; empty if there is none."""
    found: object = run.run_config
    for name in ("ops", GRAPH, "config"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
