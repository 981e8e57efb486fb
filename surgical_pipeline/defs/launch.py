"""Run the real jobs in this process, for the command line: the runs are in Dagster's UI like any other."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import dagster as dg

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.backlog import Watch, backlog_job, embed_missing
from surgical_pipeline.defs.dagster_home import opened_instance
from surgical_pipeline.defs.dagster_internals import InMemoryJob, execute_run_iterator
from surgical_pipeline.defs.dagster_runs import (
    BACKFILL_JOB,
    PARTITION_TAG,
    SYNC_JOB,
    TRIGGER_TAG,
    config_block,
    partition_tags,
    scope_tags,
    trigger_of,
    worker_tags,
)
from surgical_pipeline.defs.dagster_words import (
    ending_of,
    report_canceling,
    report_ending,
    report_failure,
)
from surgical_pipeline.defs.gateways import TALLY
from surgical_pipeline.defs.mirror import Change, Mirror
from surgical_pipeline.defs.sync.config import GRAPH, BudgetConfig, block_of, scope_of_run
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase, RunStatus, Trigger
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.progress import Progress, Tally
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import load_result, result_without_row
from surgical_pipeline.settings import Settings
from surgical_pipeline.stages.shared.backlog import BacklogProgress

LAST_LOOK_SECONDS = 2.0
"""How long a run that has ended waits for the ledger: its own limit may have been spent on it already."""

_BY_COMMAND = {TRIGGER_TAG: str(Trigger.CLI)}
_LOG = logging.getLogger(__name__)


class Launch:
    """One run of `surgical_sync_job` in this process, or of `surgical_backfill_job` for a partition.

    Args:
        ledger: where the run will write; `execute` first ends runs in it whose process is gone.
        instance: Dagster's; the caller closes it.
        parent_run_id: the run that this one repeats in part.
        tags: who made it.
        partition: the key of a chunk, which is then the run's scope.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        instance: dg.DagsterInstance,
        ledger: Ledger,
        parent_run_id: str | None = None,
        tags: Mapping[str, str] = _BY_COMMAND,
        partition: str | None = None,
    ) -> None:
        self._instance = instance
        self._ledger = ledger
        self._mirror = Mirror(instance, ledger)
        self._ended_by: Failure | None = None
        self._tally = Tally()
        self._job = defs.resolve_job_def(SYNC_JOB if partition is None else BACKFILL_JOB)
        parent = instance.get_run_by_id(parent_run_id) if parent_run_id else None
        self.run_id = str(uuid4())
        with self._ended_if_interrupted():
            self._run = instance.create_run_for_job(
                job_def=self._job,
                run_config=dict(config),
                run_id=self.run_id,
                tags={
                    **tags,
                    **scope_tags(scope_of_run(config["ops"][GRAPH]["config"], partition)),
                    **({} if partition is None else partition_tags(partition)),
                    **worker_tags(ProcessIdentity.of_this_process()),
                },
                parent_run_id=parent_run_id,
                root_run_id=(parent.root_run_id or parent_run_id) if parent else parent_run_id,
            )

    @property
    def progress(self) -> Progress | None:
        """How far it is, from any thread; None before its first stage."""
        return self._tally.now

    def execute(self, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Run to the end, whichever it is. The ledger says how it ended.

        ``cancelled``: whether the process was asked to stop. Inside a stage the interrupt itself ends the run;
        between stages Dagster only remembers it, so this is checked.
        """
        try:
            with self._ended_if_interrupted():
                self._mirror.bring_back()
                self._mirror.settle()
        except LedgerError as error:
            self.refuse(Failure(code=error.code, message=str(error), stage=str(Phase.QUEUED)))
            return
        before = TALLY.set(self._tally)
        try:
            for _ in _executed(self._job, self._run, instance=self._instance):
                if cancelled():
                    report_canceling(self._instance, self.run_id)
        except KeyboardInterrupt:
            pass  # before Dagster took over, or after; handled below
        finally:
            TALLY.reset(before)
            self._wind_up(cancelled=cancelled())

    @contextmanager
    def _ended_if_interrupted(self) -> Iterator[None]:
        """If this process is told to stop before the run has begun, it is cancelled, and not lost."""
        try:
            yield
        except KeyboardInterrupt:
            self._call_off()
            raise

    def _call_off(self) -> None:
        run = self._instance.get_run_by_id(self.run_id)
        if run is None or run.status is not dg.DagsterRunStatus.NOT_STARTED:
            return
        report_ending(self._instance, run, RunStatus.CANCELLED, "the process that was to run it was told to stop")
        ledger = _ledger_for_a_last_look()
        if not ledger.exists:
            return
        mirror = Mirror(self._instance, ledger)
        try:
            mirror.bring_over(self._instance.get_run_records(dg.RunsFilter(run_ids=[self.run_id])))
            mirror.settle()
        except LedgerError as error:
            _LOG.warning("the ending of run %s is left to the mirror: %s", self.run_id, error)

    def refuse(self, failure: Failure) -> None:
        """End the run without executing it, if the ledger cannot be used. The mirror writes its row later."""
        self._ended_by = failure
        report_failure(self._instance, self._run, failure)

    def _wind_up(self, *, cancelled: bool) -> None:
        mirror = self._mirror
        run = self._instance.get_run_by_id(self.run_id)
        if run is not None and run.status is dg.DagsterRunStatus.FAILURE:
            ended_by = ending_of(self._instance, self.run_id, phase=Phase.QUEUED)
            if ended_by.code is FailureCode.LOCK_TIMEOUT:
                mirror = Mirror(self._instance, _ledger_for_a_last_look())
        try:
            mirror.wind_up(self.run_id, cancelled=cancelled)
        except LedgerError as error:
            _LOG.warning("the ending of run %s is left to the mirror: %s", self.run_id, error)

    def result(self) -> SyncResult:
        """The result from the ledger; from Dagster, if the ledger could not be written or cannot be read."""
        if self._ended_by is not None:
            return self._without_row()
        try:
            result = self._read_back()
            if result is None or RunStatus(result.completion_status).terminal:
                return result or self._without_row()
            ended_by = ending_of(self._instance, self.run_id, phase=Phase(result.phase))
            return self._read_back(ended_by) or self._without_row()
        except LedgerError as error:
            _LOG.warning("run %s cannot be read back: %s", self.run_id, error)
            return self._without_row()

    def _read_back(self, ended_by: Failure | None = None) -> SyncResult | None:
        with _ledger_for_a_last_look().read("result") as tx:
            return load_result(tx, self.run_id, ended_by=ended_by)

    def _without_row(self) -> SyncResult:
        return result_without_row(
            self.run_id,
            scope_of_run(config_block(self._run), self._run.tags.get(PARTITION_TAG)),
            trigger=trigger_of(self._run),
            ended_by=self._ended_by or ending_of(self._instance, self.run_id, phase=Phase.QUEUED),
            parent_run_id=self._run.parent_run_id,
        )


def _ledger_for_a_last_look() -> Ledger:
    return open_ledger(Settings.from_environment(), wait_at_most_seconds=LAST_LOOK_SECONDS)


@contextmanager
def launched(config: Mapping[str, Any], *, ledger: Ledger, parent_run_id: str | None = None) -> Iterator[Launch]:
    """A run that is created but not yet executed, with Dagster's instance open around it."""
    with opened_instance() as instance:
        yield Launch(config, instance=instance, ledger=ledger, parent_run_id=parent_run_id)


def launch(scope: Scope, *, budgets: Budgets, dependents: Sequence[Dependent], ledger: Ledger) -> str:
    """Run the job over a scope to its end, without output, and return the run's id."""
    config = run_config(scope, budgets=budgets, dependents=dependents, log_level="CRITICAL")
    with launched(config, ledger=ledger) as run:
        run.execute()
        return run.run_id


def repeated_config(run_id: str, *, scope: Scope, changes: Mapping[str, float], log_level: str) -> dict[str, Any]:
    """The config of a run with another scope and ``changes``; our defaults if Dagster no longer has the run."""
    with opened_instance() as instance:
        run = instance.get_run_by_id(run_id)
    if run is None:
        _LOG.warning("Dagster no longer has run %s: its settings are not known, and the defaults are used", run_id)
    config = run_config(scope, budgets=Budgets(), dependents=CORE_DEPENDENTS, log_level=log_level)
    before = config_block(run) if run else {}
    config["ops"][GRAPH]["config"].update(
        {name: before[name] for name in BudgetConfig.model_fields if name in before}
    )
    config["ops"][GRAPH]["config"].update(changes)
    return config


def refused(config: Mapping[str, Any], failure: Failure, *, ledger: Ledger) -> SyncResult:
    """A run that cannot begin, seen by Dagster and our callers as failed: ``failure`` says why."""
    with launched(config, ledger=ledger) as run:
        run.refuse(failure)
        return run.result()


def reconcile_now(ledger: Ledger) -> list[Change]:
    """The mirror's full pass, for `runs reconcile`; returns what it corrected."""
    with opened_instance() as instance:
        mirror = Mirror(instance, ledger)
        mirror.reconcile()
        return mirror.changes


def run_config(
    scope: Scope,
    *,
    budgets: Budgets,
    dependents: Sequence[Dependent],
    log_level: str,
    only_changed: bool = False,
) -> dict[str, Any]:
    """Run config as in the launchpad, and how much of Dagster's log the terminal shows."""
    block = block_of(scope, budgets=budgets, dependents=dependents, only_changed=only_changed)
    return {**block, "loggers": {"console": {"config": {"log_level": log_level}}}}


@dataclass(frozen=True, slots=True)
class BacklogRun:
    """``progress``: the last reported one, None if the job never began. ``error``: what ended it early.

    ``interrupted``: that was Ctrl+C, SIGTERM or Dagster's "terminate".
    """

    run_id: str
    progress: BacklogProgress | None
    error: str | None = None
    interrupted: bool = False


def launch_backlog(project: str | None, *, prune: bool, log_level: str, watch: Watch) -> BacklogRun:
    """Run the job to its end in this process; it is in Dagster's UI like any other run."""
    reported: list[BacklogProgress] = []

    def note(progress: BacklogProgress) -> None:
        reported[:] = [progress]
        watch(progress)

    job, failed = backlog_job(note), None
    config = {
        "ops": {embed_missing.name: {"config": {"project": project or "", "prune": prune}}},
        "loggers": {"console": {"config": {"log_level": log_level}}},
    }
    with opened_instance() as instance:
        run = instance.create_run_for_job(job_def=job, run_config=config)
        for event in _executed(job, run, instance=instance):
            failed = event.step_failure_data if event.is_step_failure else failed
    progress = reported[0] if reported else None
    if failed is None:
        return BacklogRun(run.run_id, progress)
    if failed.error and failed.error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
        return BacklogRun(run.run_id, progress, f"{FailureCode.CANCELLED}: it was told to stop", interrupted=True)
    told = failed.user_failure_data.description if failed.user_failure_data else None
    return BacklogRun(
        run.run_id, progress, told or (failed.error.message.strip() if failed.error else "it failed")
    )


def _executed(
    job: dg.JobDefinition, run: dg.DagsterRun, *, instance: dg.DagsterInstance
) -> Iterator[dg.DagsterEvent]:
    """Run to the end in this process, and yield Dagster's events as they happen."""
    return execute_run_iterator(InMemoryJob(job), run, instance)
