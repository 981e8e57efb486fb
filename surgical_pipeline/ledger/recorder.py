"""The one writer of ``sync_runs``: a run's life from its start to its one terminal status."""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.inheritance import inherited_counters
from surgical_pipeline.domain.lifecycle import STAGES, Phase, RunMode, RunStatus, Trigger
from surgical_pipeline.domain.outcomes import Counters, EntityOutcome, HttpStats, count_warnings
from surgical_pipeline.domain.scope import EntityKey, Scope
from surgical_pipeline.ledger import outcomes as store
from surgical_pipeline.ledger.clock import Clock, utc_now
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.runs import RunSummary, counters_of_row, ledger_name, lost
from surgical_pipeline.ledger.usage import Usage

HEARTBEAT_SECONDS = 15

_FINAL_PHASES = {
    RunStatus.SUCCEEDED: str(Phase.DONE),
    RunStatus.SUCCEEDED_WITH_WARNINGS: str(Phase.DONE),
    RunStatus.CANCELLED: str(Phase.CANCELLED),
}
"""A failed run keeps the phase it failed in."""

T = TypeVar("T")


class SyncRunRecorder:
    """Writes one run's row, phases and outcomes. Each method joins the window ``tx`` or opens its own.

    Every change is guarded by the status it starts from. Where the row is no longer ``running``, the methods raise
    RunLostError and write nothing; the ``finish_*`` methods give False instead.

    What the run used is written whenever it enters a stage and when it ends: the windows of this object's ledger
    since this object was made, and the requests that ``count_requests`` was told of.
    """

    def __init__(self, ledger: Ledger, run_id: str, *, clock: Clock = utc_now) -> None:
        self.run_id = run_id
        self._ledger = ledger
        self._clock = clock
        self._last_heartbeat: datetime | None = None
        self._usage = Usage(ledger)
        self.ended = False
        """Whether this object wrote the run's ending."""

    def start_surgical(
        self,
        scope: Scope,
        *,
        mode: RunMode,
        trigger: Trigger,
        dagster_instance: str | None = None,
        queued_at: datetime | None = None,
        parent_run_id: str | None = None,
        phase: Phase = Phase.PREFLIGHT,
    ) -> str:
        """Begin the run, with an outcome for each entity of ``scope``: pending, or what the parent left.

        Gives the name of the ledger that it writes to, as ``ledger_name``.

        Args:
            scope: what is asked for.
            mode: why the run was made.
            trigger: who made it.
            dagster_instance: whose run it is.
            queued_at: when Dagster accepted it.
            parent_run_id: the run that this one repeats or continues.
            phase: the first stage. Where it is not preflight, the run goes on where its parent failed and takes
                over what the parent's earlier stages achieved.

        Raises:
            RunLostError: the run is already running or has ended.
        """
        now = self._clock()
        worker = ProcessIdentity.of_this_process()
        with self._ledger.write("start run") as tx:
            self._guarded(
                tx,
                "start_run",
                parent_run_id=parent_run_id,
                mode=str(mode),
                trigger=str(trigger),
                scope=str(scope),
                project_path=scope.project,
                phase=str(phase),
                dagster_instance=dagster_instance,
                queued_at=queued_at,
                requested=len(scope),
                now=now,
                host=worker.host,
                pid=worker.pid,
                process=worker.mark,
            )
            store.insert_pending(tx, self.run_id, scope)
            if parent_run_id is not None and phase is not Phase.PREFLIGHT:
                self._take_over(tx, parent_run_id, phase=phase)
            tx.execute("open_phase", run_id=self.run_id, phase=str(phase), now=now)
            name = ledger_name(tx)
        self._last_heartbeat = now
        return name

    def set_mode(self, mode: RunMode, tx: Transaction | None = None) -> None:
        with self._joined(tx, "set mode") as joined:
            self._guarded(joined, "set_run_mode", mode=str(mode))

    def set_project(self, project_id: int, path: str, tx: Transaction | None = None) -> None:
        with self._joined(tx, "set project") as joined:
            self._guarded(joined, "set_run_project", project_id=project_id, project_path=path)

    def set_phase(self, phase: Phase, tx: Transaction | None = None) -> None:
        """Enter a stage; the one before ends.

        Raises:
            ValueError: not one of the five stages; the other phases belong to endings.
        """
        if phase not in STAGES:
            raise ValueError(f"{phase} is no stage; a run comes to it by its ending")
        now = self._clock()
        with self._joined(tx, "set phase") as joined:
            if not self._usage.tell(joined, self.run_id):
                raise lost(joined, self.run_id, location=self._ledger.location)
            self._guarded(joined, "set_run_phase", phase=str(phase), now=now)
            joined.execute("close_open_phase", run_id=self.run_id, now=now)
            joined.execute("open_phase", run_id=self.run_id, phase=str(phase), now=now)
            self._alive(joined, now)

    def set_counters(self, counters: Counters, tx: Transaction | None = None) -> None:
        """All counters, as absolute values."""
        with self._joined(tx, "set counters") as joined:
            self._guarded(joined, "set_run_counters", **counters.model_dump())

    def add_counters(self, tx: Transaction, **increments: int) -> None:
        """Raise counters by name; those not named stay as they are."""
        added = dict.fromkeys(Counters.model_fields, 0) | increments
        if unknown := added.keys() - Counters.model_fields.keys():
            raise ValueError(f"no such counters: {', '.join(sorted(unknown))}")
        self._guarded(tx, "add_run_counters", **added)

    def count_requests(self, http: HttpStats) -> None:
        """Requests that the run sent since it last said so; written with the next stage or the ending."""
        self._usage.count_requests(http)

    def heartbeat_if_due(self, tx: Transaction | None = None, *, cancelled: threading.Event | None = None) -> bool:
        """Say that the run is alive, if that was last said 15 s ago or longer; True if it was said now.

        ``cancelled`` calls off the wait for a window of its own, as in ``Ledger.write``.
        """
        last = self._last_heartbeat
        if last is not None and self._clock() - last < timedelta(seconds=HEARTBEAT_SECONDS):
            return False
        with self._joined(tx, "heartbeat", cancelled=cancelled) as joined:
            self._touch(joined)
        return True

    @contextmanager
    def window(self, purpose: str, *, cancelled: threading.Event | None = None) -> Iterator[Transaction]:
        """A write window of this run; its first statement is a heartbeat that fails where the run is lost.

        Raises:
            RunLostError: nothing was written and nothing may be.
            LedgerError: as ``Ledger.write``.
        """
        with self._ledger.write(purpose, cancelled=cancelled) as tx:
            self._touch(tx)
            yield tx

    async def in_window(self, purpose: str, work: Callable[[Transaction], T]) -> T:
        """``work`` in such a window, in a thread; cancellation as in ``Ledger.in_write``."""

        def fenced(tx: Transaction) -> T:
            self._touch(tx)
            return work(tx)

        return await self._ledger.in_write(purpose, fenced)

    async def in_read(self, purpose: str, work: Callable[[Transaction], T]) -> T:
        """``work`` in a read window, in a thread; cancellation as in ``Ledger.in_read``."""
        return await self._ledger.in_read(purpose, work)

    def outcomes(
        self, tx: Transaction | None = None, *, keys: Collection[EntityKey] | None = None
    ) -> list[EntityOutcome]:
        """Outcomes of the run, of ``keys`` or all, issues first, each by ascending IID."""
        if tx is None:
            with self._ledger.read("outcomes") as own:
                return self.outcomes(own, keys=keys)
        return store.load_outcomes(tx, self.run_id, keys)

    def save_outcomes(self, tx: Transaction, outcomes: Sequence[EntityOutcome]) -> None:
        """Replace these outcomes and their failures whole, in a window of this run."""
        store.save_outcomes(tx, self.run_id, outcomes)

    def finish_succeeded(self) -> bool:
        """Everything asked for is up to date. False: the run was lost, its row is left as it is."""
        return self._finish(RunStatus.SUCCEEDED)

    def finish_succeeded_with_warnings(self) -> bool:
        """Some of it is not; the outcomes tell. False: the run was lost, its row is left as it is."""
        return self._finish(RunStatus.SUCCEEDED_WITH_WARNINGS)

    def finish_failed(self, failure: Failure, *, if_silent_since: RunSummary | None = None) -> bool:
        """The run ends by ``failure``, and with it every entity that was not complete, from queued too.

        ``if_silent_since``: the run as somebody else saw it who takes it for lost; it is ended only if it has
        given no sign of life since. False: the run was lost or lives on, its row is left as it is.
        """
        return self._finish(RunStatus.FAILED, failure, seen=if_silent_since)

    def finish_cancelled(
        self, why: str = "The run was cancelled.", *, if_silent_since: RunSummary | None = None
    ) -> bool:
        """Somebody stopped the run; every entity that was not complete fails with CANCELLED, from queued too.

        ``if_silent_since`` and the answer as in ``finish_failed``.
        """
        return self._finish(RunStatus.CANCELLED, why, seen=if_silent_since)

    def _finish(
        self, status: RunStatus, ended_by: Failure | str | None = None, *, seen: RunSummary | None = None
    ) -> bool:
        now = self._clock()
        with self._ledger.write(f"finish {status}") as tx:
            run = tx.rows("load_run", run_id=self.run_id)
            if not run:
                return False
            phase = Phase(run[0]["phase"])
            failure = ended_by
            if isinstance(failure, str):
                failure = Failure(code=FailureCode.CANCELLED, message=failure, stage=str(phase))
            if seen is None:
                self._usage.tell(tx, self.run_id)
            ended = self._ended_outcomes(tx, phase=phase, failure=failure)
            finished = tx.execute(
                "finish_run",
                run_id=self.run_id,
                status=str(status),
                phase=_FINAL_PHASES.get(status),
                now=now,
                warnings_count=count_warnings(ended),
                failed=sum(outcome.failure is not None for outcome in ended),
                failure_code=str(failure.code) if failure else None,
                failure_message=failure.message if failure else None,
                if_silent=seen is not None,
                heartbeat_at=seen.heartbeat_at if seen else None,
            )
            if not finished:
                return False
            if failure is not None:
                store.save_outcomes(tx, self.run_id, ended)
            tx.execute("close_open_phase", run_id=self.run_id, now=now)
        self.ended = True
        return True

    def _take_over(self, tx: Transaction, parent_run_id: str, *, phase: Phase) -> None:
        """What the parent's stages before ``phase`` achieved, as far as this run asks for it."""
        parents = tx.rows("load_run", run_id=parent_run_id)
        if not parents:
            return
        if parents[0]["project_id"] is not None:
            self.set_project(parents[0]["project_id"], parents[0]["project_path"], tx)
        outcomes = store.inherit(tx, self.run_id, parent_run_id, phase=phase)
        self.set_counters(inherited_counters(counters_of_row(parents[0]), outcomes, phase=phase), tx)

    def _ended_outcomes(self, tx: Transaction, *, phase: Phase, failure: Failure | None) -> list[EntityOutcome]:
        outcomes = store.load_outcomes(tx, self.run_id)
        return outcomes if failure is None else list(store.with_run_failure(outcomes, failure, phase=phase))

    @contextmanager
    def _joined(
        self, tx: Transaction | None, purpose: str, *, cancelled: threading.Event | None = None
    ) -> Iterator[Transaction]:
        if tx is not None:
            yield tx
        else:
            with self._ledger.write(purpose, cancelled=cancelled) as own:
                yield own

    def _touch(self, tx: Transaction) -> None:
        now = self._clock()
        self._guarded(tx, "touch_run", now=now)
        self._alive(tx, now)

    def _alive(self, tx: Transaction, now: datetime) -> None:
        before = self._last_heartbeat
        self._last_heartbeat = now

        def forget() -> None:
            self._last_heartbeat = before

        tx.on_rollback(forget)

    def _guarded(self, tx: Transaction, query_name: str, **params: object) -> None:
        if not tx.execute(query_name, run_id=self.run_id, **params):
            raise lost(tx, self.run_id, location=self._ledger.location)
