"""What people ask for: runs in the UI, and commands about backfills, each of which is a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import dagster as dg
from dagster import DagsterRunStatus

from surgical_pipeline.defs.backfill_life import cancel, resumption
from surgical_pipeline.defs.backfill_records import Backfill
from surgical_pipeline.defs.backfills import launch, plan_with
from surgical_pipeline.defs.dagster_internals import BulkActionStatus
from surgical_pipeline.defs.dagster_runs import BACKFILL_TAG, PARTITION_TAG, TRIGGER_TAG, config_block
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.defs.sync.config import GRAPH, BudgetConfig, block_of
from surgical_pipeline.domain.backfill import BackfillError, BackfillPlan, Wish
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.lifecycle import Trigger
from surgical_pipeline.domain.reconciliation import Liveness
from surgical_pipeline.domain.retry import plan_retry
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.runs import RunSummary, load_result
from surgical_pipeline_tests.simulation.dagster_storage import (
    REPOSITORY,
    DagsterConnection,
    DagsterStorage,
    StoredRun,
)
from surgical_pipeline_tests.simulation.gitlab import PROJECT, SimulatedGitLab
from surgical_pipeline_tests.simulation.interruptible import run_interruptible, wait_for
from surgical_pipeline_tests.simulation.ledger import StoredLedger
from surgical_pipeline_tests.simulation.network import client_of
from surgical_pipeline_tests.simulation.processes import Process
from surgical_pipeline_tests.simulation.steps import (
    CancelBackfill,
    FailBackfill,
    GoOn,
    PeopleStep,
    ResumeBackfill,
    Retry,
    StartBackfill,
    Sync,
)

_TRIES = 4
"""Of somebody who does not see that a backfill was launched."""


@dataclass
class People:
    """``process_of``: a new process of this name. ``later``: calls something after so many seconds."""

    storage: DagsterStorage
    gitlab: SimulatedGitLab
    file: StoredLedger
    process_of: Callable[[str], Process]
    later: Callable[[float, Callable[[], object]], None]
    liveness_of: Callable[[RunSummary], Liveness]
    waiting: int = 0
    """Commands that somebody will yet give."""
    processes: list[Process] = field(default_factory=list)
    _launching: Process | None = None

    @property
    def busy(self) -> bool:
        return bool(self.waiting or any(one.alive for one in self.processes))

    def take(self, step: PeopleStep) -> None:
        match step:
            case StartBackfill():
                self._start(step, _TRIES)
            case CancelBackfill():
                self._about(step.which, "cancels", self._cancel)
            case FailBackfill():
                self._about(step.which, "fails", self._fail)
            case ResumeBackfill():
                self._about(step.which, "resumes", partial(self._resume, thinks=step.thinks))
            case Retry():
                self._retry(step)
            case Sync():
                self._sync(step)
            case GoOn():
                self._go_on()

    def resume(self, backfill_id: str) -> None:
        """Give the command, without a thought."""
        self._give("resumes", partial(self._resume, backfill_id=backfill_id, thinks=0.0))

    # ------------------------------------------------------------------ in the UI

    def _sync(self, step: Sync) -> None:
        scope = self._scope(step.which)
        config = block_of(scope, budgets=Budgets(), dependents=CORE_DEPENDENTS, only_changed=step.only_changed)
        request = dg.RunRequest(run_config=config, tags={"dagster/priority": "10"})
        self.storage.create(self.storage.new_id(), request, sensor=None)

    def _go_on(self) -> None:
        failed = [one for one in self.storage.runs.values() if one.run.status is DagsterRunStatus.FAILURE]
        if failed:
            again: StoredRun = failed[-1]
            tags = _kept_tags(self.storage, again.run)
            request = dg.RunRequest(run_config=again.run.run_config, tags=tags)
            self.storage.create(self.storage.new_id(), request, sensor=None, parent=again.run, goes_on=True)

    # ------------------------------------------------------------------ how commands are given

    def _about(self, which: int, what: str, work: Callable[..., None]) -> None:
        known = list(self.storage.backfills)
        if known:
            self._give(what, partial(work, backfill_id=known[which % len(known)]))

    def _give(self, what: str, work: Callable[..., None]) -> Process:
        process = self.process_of(f"command {what}")
        self.processes.append(process)

        async def living() -> None:
            await run_interruptible(partial(self._told, process, work))
            process.exit()

        process.start(living())
        return process

    def _told(self, process: Process, work: Callable[..., None]) -> None:
        try:
            work(process)
        except (BackfillError, LedgerError) as error:
            process.trace.add(process.name, f"is told: {error}")

    # ------------------------------------------------------------------ commands

    def _start(self, step: StartBackfill, tries: int) -> None:
        launched: list[str] = []
        wish = self._wish(step)

        def work(process: Process) -> None:
            planned = wait_for(plan_with(self._client(process), wish, monotonic=process.machine.time))
            launched.append(self._launch(process, planned, tags={}))

        process = self._give("starts a backfill", work)
        process.dies_in = step.dies_in if tries == _TRIES else None

        def again() -> None:
            self.waiting -= 1
            if not launched and not process.alive and tries > 1:
                self._start(step, tries - 1)

        self.waiting += 1
        self.later(step.again, again)

    def _wish(self, step: StartBackfill) -> Wish:
        if not step.which:
            return Wish(projects=(PROJECT,), only_changed=step.only_changed, chunk=step.chunk)
        return Wish(scopes=(self._scope(step.which),), only_changed=step.only_changed, chunk=step.chunk)

    def _scope(self, which: tuple[int, ...]) -> Scope:
        """Those of what there is, by numbers."""
        keys = self.gitlab.existing()
        chosen = {keys[one % len(keys)] for one in which}
        return Scope.of(
            PROJECT,
            issue_iids=sorted(iid for _, kind, iid in chosen if kind == "issue"),
            mr_iids=sorted(iid for _, kind, iid in chosen if kind == "merge_request"),
        )

    def _launch(self, process: Process, planned: BackfillPlan, tags: dict[str, str]) -> str:
        if not planned.chunks:
            return "nothing to do"
        return launch(
            DagsterConnection(self.storage, process).instance,
            planned,
            repository=REPOSITORY,
            tags=tags,
            clock=process.machine.wall,
            alone=partial(self._alone, process),
        ).backfill_id

    @contextmanager
    def _alone(self, process: Process) -> Iterator[None]:
        """The lock in DAGSTER_HOME, which a dead process has no more."""
        while self._launching is not None and self._launching.alive:
            wait_for(process.sleep(0.1))
        self._launching = process
        try:
            wait_for(process.pause("may launch"))
            yield
        finally:
            if self._launching is process:
                self._launching = None

    def _cancel(self, process: Process, *, backfill_id: str) -> None:
        cancel(
            DagsterConnection(self.storage, process).instance,
            self._backfill(backfill_id),
            watch=lambda _: None,
            pause=lambda seconds: wait_for(process.sleep(seconds)),
            clock=process.machine.wall,
        )

    def _fail(self, process: Process, *, backfill_id: str) -> None:
        backfill = self._backfill(backfill_id)
        if not backfill.state.over:
            process.point("is a failure of Dagster's own")
            failing = backfill.record._replace(status=BulkActionStatus.FAILING)
            self.storage.backfills[backfill_id] = failing

    def _resume(self, process: Process, *, backfill_id: str, thinks: float) -> None:
        connection, ledger = DagsterConnection(self.storage, process), self.file.opened_by(process)
        mirror = Mirror(connection.instance, ledger, liveness_of=self.liveness_of)
        left = resumption(connection.instance, ledger, self._backfill(backfill_id), mirror=mirror)
        wait_for(process.sleep(thinks))
        self._launch(process, left.plan, left.tags)

    def _retry(self, step: Retry) -> None:
        ended = [one.run for one in self.storage.runs.values() if PARTITION_TAG in one.run.tags and one.finished]
        if ended:
            parent = ended[step.which % len(ended)]
            self._give("retries", partial(self._retry_run, parent=parent))

    def _retry_run(self, process: Process, *, parent: dg.DagsterRun) -> None:
        with self.file.opened_by(process).read("run") as tx:
            result = load_result(tx, parent.run_id)
        scope = None if result is None or result.finished_at is None else plan_retry(result).scope
        if scope is None:
            return
        config = block_of(scope, budgets=Budgets(), dependents=CORE_DEPENDENTS)
        before = config_block(parent)
        config["ops"][GRAPH]["config"] |= {
            name: before[name] for name in BudgetConfig.model_fields if name in before
        }
        wait_for(process.pause("launches a retry"))
        request = dg.RunRequest(run_config=config, tags={TRIGGER_TAG: str(Trigger.CLI)})
        self.storage.create(self.storage.new_id(), request, sensor=None, parent=parent)

    def _backfill(self, backfill_id: str) -> Backfill:
        return Backfill(self.storage.backfills[backfill_id])

    def _client(self, process: Process) -> GitLabClient:
        machine = process.machine
        limiter, clock = RateLimiter(monotonic=machine.time), GitLabClock(machine.wall, machine.uptime)
        return client_of(self.gitlab, process, limiter=limiter, clock=clock)


def _kept_tags(storage: DagsterStorage, run: dg.DagsterRun) -> dict[str, str]:
    """Those that Dagster gives to a re-execution: it is one of a backfill's as long as that goes on."""
    kept = {
        name: value
        for name, value in run.tags.items()
        if not name.startswith((".", "dagster/")) or name.startswith(PARTITION_TAG)
    }
    backfill = storage.backfills.get(run.tags.get(BACKFILL_TAG, ""))
    if backfill is not None and backfill.status is BulkActionStatus.REQUESTED:
        kept |= {
            name: value for name, value in run.tags.items() if name.endswith("backfill_id") or name == BACKFILL_TAG
        }
    return kept
