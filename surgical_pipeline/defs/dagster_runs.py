"""What a Dagster run says about itself: whether it is one of ours, its scope and mode, and who triggered it."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import dagster as dg

from surgical_pipeline.defs.asset_keys import ASSETS
from surgical_pipeline.defs.dagster_internals import partition_set_snap_name_for_job_name
from surgical_pipeline.defs.sync.config import GRAPH, scope_of_run
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.scope import Scope, ScopeError
from surgical_pipeline.gitlab.pacing import Priority
from surgical_pipeline.ledger.process import ProcessIdentity

SYNC_JOB = "surgical_sync_job"
BACKFILL_JOB = "surgical_backfill_job"
TRIGGER_TAG = "surgical/trigger"
PROJECT_TAG, SCOPE_TAG = "surgical/project", "surgical/scope"
OUTCOME_TAG = "surgical/outcome"
"""How a run ended that Dagster calls a success: `succeeded`, or `succeeded_with_warnings`."""
EVENTS_TAG = "surgical/events"
"""The events that a run takes, for people; ends with the number up to which it takes those of its scope."""
BACKGROUND_TAG = "surgical/background"
"""On runs for which nobody waits: dagster.yaml leaves a slot free of them."""
PRIORITY_TAG = "dagster/priority"
ON_CONTROL = {"dagster-celery/queue": "control"}
"""On jobs that make or delete files of a machine: with Celery it is always the same one. Else it means nothing."""
HOST_TAG, PID_TAG, PROCESS_TAG = ".dagster/surgical_host", ".dagster/surgical_pid", ".dagster/surgical_process"
"""Which process will run it, on runs of the command line: it may be killed before the run has its row.

Dagster's UI shows no tags with this prefix.
"""
LEDGER_TAG = ".dagster/surgical_ledger"
"""Name of the ledger that the run has begun to write to."""
OWN_PROCESSES = {".dagster/surgical_stages": "a process each"}
"""On a run whose stages do not share one process: between two of them nothing gives a sign of life."""
FORMER_TAGS = {
    HOST_TAG: "surgical/host",
    PID_TAG: "surgical/pid",
    PROCESS_TAG: "surgical/process",
    LEDGER_TAG: "surgical/ledger",
}
"""What runs have instead that were made before these were hidden."""
PEOPLE_PRIORITY, BACKGROUND_PRIORITY = "10", "-10"
BACKGROUND = {BACKGROUND_TAG: "true", PRIORITY_TAG: BACKGROUND_PRIORITY}
MAX_TAG_LENGTH = 200
"""PostgreSQL's indexes refuse long tags, and nobody reads them."""
SENSOR_TAG = "dagster/sensor_name"
RUN_KEY_TAG = "dagster/run_key"
PARTITION_TAG, PARTITION_SET_TAG = "dagster/partition", "dagster/partition_set"
BACKFILL_TAG = "dagster/backfill"
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
NOT_FINISHED = [status for status in dg.DagsterRunStatus if status not in FINISHED]
"""The statuses of runs that are not ``is_finished``."""


class Origin(StrEnum):
    """What asks for runs by itself, as in the tag `surgical/trigger`; the ledger calls all of them `sensor`."""

    WEBHOOK = "webhook"
    POLL = "poll"
    SETTLE = "settle"
    SWEEP = "sweep"

    @property
    def tags(self) -> dict[str, str]:
        """The origin, how urgent its runs are, and whether they may take every slot."""
        if self is Origin.SWEEP:
            return {TRIGGER_TAG: str(self), **BACKGROUND}
        return {TRIGGER_TAG: str(self), PRIORITY_TAG: "5" if self is Origin.WEBHOOK else "0"}


def is_surgical(run: dg.DagsterRun) -> bool:
    """Whether the run belongs in the ledger: it is of our jobs, or another one's config has our block."""
    return run.job_name in (SYNC_JOB, BACKFILL_JOB) or bool(config_block(run))


def is_shared(run: dg.DagsterRun) -> bool:
    """Whether steps of somebody else may be in the run, too: what ends ours does not end those."""
    if run.job_name in (SYNC_JOB, BACKFILL_JOB):
        return False
    chosen = run.asset_selection or ()
    return not chosen or not set(ASSETS).issuperset(chosen)


def is_cancelled(run: dg.DagsterRun) -> bool:
    """Whether somebody asked to end it."""
    return run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)


def mode_of(run: dg.DagsterRun) -> RunMode:
    if PARTITION_TAG in run.tags:
        return RunMode.BACKFILL
    return RunMode.INCREMENTAL if trigger_of(run) is Trigger.SENSOR else RunMode.SURGICAL


def trigger_of(run: dg.DagsterRun) -> Trigger:
    """Who created the run: the command line sets it, Dagster's tags say the rest."""
    told = run.tags.get(TRIGGER_TAG)
    if told in set(Trigger):
        return Trigger(told)
    if told in set(Origin):
        return Trigger.SENSOR
    if BACKFILL_TAG in run.tags:
        return Trigger.BACKFILL
    return Trigger.SENSOR if SENSOR_TAG in run.tags else Trigger.LAUNCHPAD


def priority_of(run: dg.DagsterRun) -> Priority:
    """When its requests to GitLab have their turn: in the same order in which runs leave Dagster's queue."""
    if run.tags.get(BACKGROUND_TAG) == BACKGROUND[BACKGROUND_TAG]:
        return Priority.BACKGROUND
    return Priority.SENSORS if trigger_of(run) is Trigger.SENSOR else Priority.PEOPLE


def events_upto_of(run: dg.DagsterRun) -> int | None:
    """Up to which number the run takes events of its scope; None: no event asked for it."""
    found = re.search(r"([0-9]{1,18})$", run.tags.get(EVENTS_TAG, ""))
    return int(found[1]) if found else None


def scope_tags(scope: Scope, project: str | None = None) -> dict[str, str]:
    """What the run is about, for people. ``project``: its path, if the scope names it by its id."""
    shown = project or scope.project
    return {PROJECT_TAG: _shortened(shown), SCOPE_TAG: _shortened(f"{shown}{str(scope)[len(scope.project) :]}")}


def project_tags(projects: Sequence[str]) -> dict[str, str]:
    """What something is about that is of one project; of several, nothing."""
    return {PROJECT_TAG: _shortened(projects[0])} if len(projects) == 1 else {}


def partition_tags(key: str) -> dict[str, str]:
    """What makes a run one of `surgical_backfill_job` for this key."""
    return {PARTITION_TAG: key, PARTITION_SET_TAG: partition_set_snap_name_for_job_name(BACKFILL_JOB)}


def missing_tags(run: dg.DagsterRun, scope: Scope) -> dict[str, str]:
    """What a run that was not asked for with tags should have: the launchpad sets none."""
    wanted = {TRIGGER_TAG: str(trigger_of(run)), **scope_tags(scope)}
    return {key: value for key, value in wanted.items() if key not in run.tags}


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TAG_LENGTH else f"{text[: MAX_TAG_LENGTH - 1]}…"


def scope_of(run: dg.DagsterRun) -> Scope | str:
    """The run's scope; as a text if its ops will refuse it."""
    partition = run.tags.get(PARTITION_TAG)
    block = config_block(run)
    try:
        return scope_of_run(block, partition)
    except ScopeError:
        return f"refused: {partition if partition is not None else block.get('project', '')}"


def hidden_tag(run: dg.DagsterRun, tag: str) -> str | None:
    """The value of one of the tags that Dagster's UI does not show, under its present name or its former one."""
    return run.tags.get(tag, run.tags.get(FORMER_TAGS[tag]))


def worker_tags(worker: ProcessIdentity) -> dict[str, str]:
    """The tags from which `worker_of` reads."""
    return {HOST_TAG: worker.host, PID_TAG: str(worker.pid), PROCESS_TAG: worker.mark or ""}


def worker_of(run: dg.DagsterRun) -> ProcessIdentity | None:
    """The process that created the run to run it itself; None if Dagster starts one."""
    return worker_in(run.tags)


def worker_in(tags: Mapping[str, str]) -> ProcessIdentity | None:
    """The same from the tags of a run or of a backfill."""
    host, pid, mark = (tags.get(tag, tags.get(FORMER_TAGS[tag])) for tag in (HOST_TAG, PID_TAG, PROCESS_TAG))
    return None if host is None or pid is None else ProcessIdentity(host, int(pid), mark or None)


def config_block(run: dg.DagsterRun) -> Mapping[str, Any]:
    """The block of run config that a person wrote; empty if there is none."""
    found: object = run.run_config
    for name in ("ops", GRAPH, "config"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else {}
