"""The resource that opens what a run works with: ledger, GitLab, embedder and the recorder of this run."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import dagster as dg
from sqlalchemy.exc import DBAPIError

from surgical_pipeline.defs.dagster_home import id_of
from surgical_pipeline.defs.dagster_runs import (
    LEDGER_TAG,
    OWN_PROCESSES,
    events_upto_of,
    is_cancelled,
    missing_tags,
    mode_of,
    priority_of,
    trigger_of,
)
from surgical_pipeline.defs.event_loop import run_async
from surgical_pipeline.defs.handing_on import HANDING_ON, NOT_HERE
from surgical_pipeline.defs.sync.own_processes import begins_with
from surgical_pipeline.domain.belonging import Belonging
from surgical_pipeline.domain.budgets import MonotonicClock
from surgical_pipeline.domain.failures import EntityFailure, Failure, FailureCode, StageFailedError
from surgical_pipeline.domain.handover import PreflightResult
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import outcome_of
from surgical_pipeline.domain.progress import UNWATCHED, Tally
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.embedders.protocol import Embedder
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.pacing import Priority
from surgical_pipeline.gitlab.snapshots import SnapshotFile, discard_old_snapshots
from surgical_pipeline.ledger.errors import LedgerError, LockTimeoutError
from surgical_pipeline.ledger.heartbeat import Heartbeat
from surgical_pipeline.ledger.joinable import JoinableRecorder
from surgical_pipeline.ledger.opening import open_ledger, open_request_pacing
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import Settings, SettingsError

T = TypeVar("T")

GATEWAYS = "surgical_gateways"
"""The resource's key, which nobody else's resource has: definitions are merged."""
SNAPSHOTS_KEPT_SECONDS = 7 * 24 * 3600
TALLY: ContextVar[Tally] = ContextVar("tally", default=UNWATCHED)
"""What counts the progress of runs in this context: the command line, which runs them in its process, sets one."""

_ENDED_OUTSIDE = (
    "the run ended outside its stages: only some of them were selected, it was stopped between two of them, "
    "or Dagster could not store what one handed on; its log in Dagster tells which"
)
_LOG = logging.getLogger(__name__)


class RunGateways:
    """One run's gateways. Everything opens on first use: a run without documents loads no model."""

    monotonic: MonotonicClock = staticmethod(time.monotonic)
    """The clock of budgets."""

    def __init__(self, settings: Settings, run_id: str) -> None:
        self.settings = settings
        self._phase: Phase | None = None
        self._began_in: Phase | None = None
        self._failure: Failure | None = None
        self._gave_up = False
        self._run_id = run_id
        self._alive = ExitStack()
        self.gitlab_clock = GitLabClock()
        self.tally = TALLY.get()
        self.priority = Priority.PEOPLE
        self._conductor: ProcessIdentity | None = None
        self.requests = 0
        """Sent to GitLab so far, by clients that are closed."""

    def enter(
        self,
        run: dg.DagsterRun,
        *,
        scope: Scope,
        phase: Phase,
        instance: dg.DagsterInstance,
        conductor: ProcessIdentity | None = None,
        handed_on: bool = True,
    ) -> bool:
        """Enter a stage. The first one, whichever it is, begins the run in the ledger and its heartbeat.

        ``conductor``: the process that starts one for each stage of the run; None: all stages are in this one.
        ``handed_on``: what the stages before handed on is here; else the run begins with preflight, in this stage.
        Returns whether the run continues here, where the run that it re-executes failed.

        Raises:
            StageFailedError: the stages before are this run's own, and what they handed on is not here.
        """
        self.priority = priority_of(run)
        self._conductor = conductor
        begins = self._phase is None and (conductor is None or begins_with(run, phase))
        if self._phase is not None:
            self.run.enter(phase)
        elif not begins:
            self.run.join(phase)
            self._alive.enter_context(self.heartbeat())
        else:
            record = instance.get_run_record_by_id(run.run_id)
            self._began_in = phase if handed_on else Phase.PREFLIGHT
            ledger = self.run.start_surgical(
                scope,
                mode=mode_of(run),
                trigger=trigger_of(run),
                dagster_instance=id_of(instance),
                queued_at=record.create_timestamp if record else None,
                parent_run_id=run.parent_run_id,
                phase=self._began_in,
                events_upto=events_upto_of(run),
            )
            self._alive.enter_context(self.heartbeat())
            instance.add_run_tags(
                run.run_id,
                {LEDGER_TAG: ledger, **missing_tags(run, scope), **({} if conductor is None else OWN_PROCESSES)},
            )
            self._discard_old_snapshots()
        self._phase = phase
        if not handed_on and not begins:
            raise StageFailedError(Failure(code=FailureCode.LEDGER_ERROR, message=NOT_HERE, stage=str(phase)))
        return begins and self._began_in is not Phase.PREFLIGHT

    def with_gitlab_time(self, result: PreflightResult) -> PreflightResult:
        """For a process of its own that will write what is fetched here, and has not heard GitLab itself."""
        return result if self._conductor is None else replace(result, gitlab_time=self.gitlab_clock.hand_on())

    def take_gitlab_time(self, result: PreflightResult | None) -> None:
        """The time that another process handed on; nothing in the process that has heard it."""
        if self._conductor is not None and result is not None and result.gitlab_time is not None:
            self.gitlab_clock.take(result.gitlab_time)

    def fail(self, failure: Failure, of_entities: Sequence[EntityFailure] = ()) -> None:
        """End the run by ``failure``; if the ledger cannot be written now, `close` tries again.

        ``of_entities``: failures of entities that have their own. After a LOCK_TIMEOUT neither tries: the run has
        already waited for the whole limit, and the mirror writes the ending.

        Raises:
            LedgerError: the ledger cannot be written now.
        """
        self._failure = failure
        if failure.code is FailureCode.LOCK_TIMEOUT:
            self._gave_up = True
            return
        if of_entities:
            with self.run.window("failures") as tx:
                self.run.save_outcomes(tx, [outcome_of(failed) for failed in of_entities])
        self.run.finish_failed(failure)

    def cancel(self) -> None:
        """End the run as cancelled; if the ledger cannot be written now, `close` or the mirror does, as in `fail`.

        Raises:
            LedgerError: the ledger cannot be written now.
        """
        try:
            self.run.finish_cancelled()
        except LockTimeoutError:
            self._gave_up = True
            raise

    def close(self, *, cancelled: bool) -> None:
        """Called when the run is over: writes what no stage has written about its ending.

        Where each stage has a process, that is when a stage is over. If no other follows, the mirror ends the run.
        """
        self._alive.close()
        if self._phase is None or self.run.ended_as or self._gave_up:
            return
        try:
            if cancelled:
                self.run.finish_cancelled()
            elif self._conductor is not None and self._failure is None:
                self.run.hand_on()
            else:
                outside = Failure(code=FailureCode.WORKER_LOST, message=_ENDED_OUTSIDE, stage=str(self._phase))
                self.run.finish_failed(self._failure or outside)
        except LedgerError as error:
            _LOG.warning("the rest of run %s is left to the mirror: %s", self._run_id, error)

    @cached_property
    def ledger(self) -> Ledger:
        return open_ledger(self.settings)

    @cached_property
    def run(self) -> JoinableRecorder:
        return JoinableRecorder(self.ledger, self._run_id, worker=self._conductor)

    @cached_property
    def embedder(self) -> Embedder:
        return self.settings.embedder.create()

    def run_async(self, work: Callable[[], Awaitable[T]]) -> T:
        """The result of a stage."""
        return run_async(work)

    def heartbeat(self) -> AbstractContextManager[object]:
        """Reports the run as alive as long as the block runs."""
        return Heartbeat(self.run)

    @property
    def belonging_to_check(self) -> Belonging | None:
        """What the ledger knows about its GitLab, if this process's preflight did not compare it."""
        return None if self._began_in is Phase.PREFLIGHT else self.run.belongs_to

    @property
    def snapshots(self) -> SnapshotFile:
        """The spool of this run; a re-execution reads the one of the run that it continues."""
        return SnapshotFile(self._snapshot_folder / f"{self._run_id}.jsonl")

    def _discard_old_snapshots(self) -> None:
        discard_old_snapshots(self._snapshot_folder, kept_seconds=SNAPSHOTS_KEPT_SECONDS)

    @property
    def _snapshot_folder(self) -> Path:
        return self.settings.dagster_home / "snapshots"

    @asynccontextmanager
    async def gitlab(self, max_in_flight: int) -> AsyncIterator[GitLabClient]:
        """A connected client; what it sent is counted when it closes."""
        opened = open_gitlab(self.settings, max_in_flight, clock=self.gitlab_clock, priority=self.priority)
        async with opened as client:
            self.tally.watch_requests(lambda: client.stats.requests)
            try:
                yield client
            finally:
                self.tally.watch_requests(None)
                self.run.count_requests(client.stats)
                self.requests += client.stats.requests


def open_gitlab(
    settings: Settings,
    max_in_flight: int = 16,
    *,
    clock: GitLabClock | None = None,
    priority: Priority = Priority.PEOPLE,
) -> GitLabClient:
    """A client for the configured GitLab, not yet connected; use it as an async context manager."""
    gitlab = settings.gitlab
    token = gitlab.token.get_secret_value()
    return GitLabClient(
        gitlab.url,
        token,
        max_in_flight=max_in_flight,
        ca_bundle=gitlab.ca_bundle,
        clock=clock,
        limits_folder=_folder_of_all(settings),
        limits_of_all=open_request_pacing(settings),
        priority=priority,
    )


def _folder_of_all(settings: Settings) -> Path | None:
    """The ledger's: all runs that write to one ledger share it. None: settings name none that could be used.

    Of a ledger in PostgreSQL, DAGSTER_HOME: all runs of this machine share it, and machines share a row.
    """
    with suppress(SettingsError):
        if settings.ledger_address is not None:
            return settings.dagster_home
        return settings.ledger_path.resolve().parent
    return None


class _WithResources(Protocol):
    @property
    def resources(self) -> Any: ...


def gateways_of(context: _WithResources) -> RunGateways:
    """Those of the run; whatever asks for them names `GATEWAYS` among its required resources."""
    found: RunGateways = getattr(context.resources, GATEWAYS)
    return found


class Gateways(dg.ConfigurableResource[RunGateways]):
    """Dagster's handle on `RunGateways`. It has no config: tokens must not reach run config."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[RunGateways]:
        run_id = context.run.run_id if context.run else context.run_id or ""
        gateways = RunGateways(Settings.from_environment(), run_id)
        try:
            yield gateways
        finally:
            run = None
            with suppress(DBAPIError):  # Dagster's storage disappeared during the run; still write the ledger
                run = context.instance.get_run_by_id(run_id) if context.instance else None
            gateways.close(cancelled=run is not None and is_cancelled(run))


RESOURCES: dict[str, Any] = {GATEWAYS: Gateways(), **HANDING_ON}
"""All that our assets and jobs need of their Definitions."""
