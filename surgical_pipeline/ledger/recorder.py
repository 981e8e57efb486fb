"""The one writer of ``sync_runs``: a run's life from its start to its one terminal status."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import TypeVar

from surgical_pipeline.domain.belonging import NOTHING_KNOWN
from surgical_pipeline.domain.failures import Failure
from surgical_pipeline.domain.lifecycle import Phase, RunMode, RunStatus, Trigger, as_stage, conclude
from surgical_pipeline.domain.outcomes import Counters, EntityOutcome, HttpStats
from surgical_pipeline.domain.scope import EntityKey, Scope
from surgical_pipeline.ledger import outcomes as store
from surgical_pipeline.ledger.beginnings import begin_run
from surgical_pipeline.ledger.belonging import load_belonging
from surgical_pipeline.ledger.clock import Clock
from surgical_pipeline.ledger.endings import NOTHING_USABLE, Inheritance, end_run, inheritance_of
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.row_counts import count_rows_before
from surgical_pipeline.ledger.run_row import RunRow
from surgical_pipeline.ledger.runs import RunSummary, ledger_name
from surgical_pipeline.ledger.usage import Usage

HEARTBEAT_SECONDS = 15

T = TypeVar("T")


class SyncRunRecorder:
    """Writes one run's row, phases and outcomes. Each method joins the window ``tx`` or opens its own.

    What a window changes in the row is written by one statement, at the window's end: each statement costs
    milliseconds in which others wait. It is guarded by the status it starts from. If the row is no longer
    ``running``, the window is rolled back with RunLostError; the ``finish_*`` methods return False instead.

    What the run used is written whenever it enters a stage and when it ends: the windows of this object's ledger
    since this object was made, and the requests passed to ``count_requests``. ``clock``: None: the ledger's.
    ``worker``: None: this process.
    """

    def __init__(
        self, ledger: Ledger, run_id: str, *, clock: Clock | None = None, worker: ProcessIdentity | None = None
    ) -> None:
        self.run_id, self._worker, self._ledger = run_id, worker, ledger
        self._clock = clock or ledger.clock
        self._usage = Usage(ledger)
        self._row = RunRow(run_id, self._usage, location=ledger.location, clock=self._clock)
        self._known: dict[EntityKey, EntityOutcome] | None = None
        self.belongs_to = NOTHING_KNOWN
        """What the ledger knew about its GitLab when the run began."""
        self.row_counts: Mapping[str, int] = {}
        """Rows of each table, as `count_rows` counts them, when the stage that writes it was over."""
        self.ended_as: RunStatus | None = None
        """The run's ending, if this object wrote it."""

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
        events_upto: int | None = None,
    ) -> str:
        """Begin the run, with an outcome for each entity of ``scope``: pending, or what the parent left.

        Returns the name of the ledger that it writes to, as ``ledger_name`` does.

        Args:
            scope: what is asked for.
            mode: why the run was made.
            trigger: who made it.
            dagster_instance: whose run it is.
            queued_at: when Dagster accepted it.
            parent_run_id: the run that this one repeats or continues.
            phase: the first stage. After preflight: the run takes over what its parent's earlier stages achieved.
            events_upto: the run was asked for because of events of its scope, up to this ``seq``.

        Raises:
            RunLostError: the run is already running or has ended.
        """
        now = self._clock()
        worker = self._worker or ProcessIdentity.of_this_process()
        with self._ledger.write("start run") as tx:
            row = {
                "run_id": self.run_id,
                "parent_run_id": parent_run_id,
                "mode": str(mode),
                "trigger": str(trigger),
                "scope": str(scope),
                "project_path": scope.project,
                "phase": str(phase),
                "dagster_instance": dagster_instance,
                "queued_at": queued_at,
                "requested": len(scope),
                "now": now,
                "host": worker.host,
                "pid": worker.pid,
                "process": worker.mark,
                "events_upto": events_upto,
            }
            self._insert(tx, scope, row)
            if parent_run_id is not None and phase is not Phase.PREFLIGHT:
                self._take_over(tx, inheritance_of(tx, self.run_id, parent_run_id, phase=phase))
            self._row.begin(tx, phase, now=now)
            name, self.belongs_to = ledger_name(tx), load_belonging(tx)
        self._usage.begin_stage(phase)
        return name

    def set_mode(self, mode: RunMode, tx: Transaction | None = None) -> None:
        with self._joined(tx, "set mode") as joined:
            self._guarded(joined, "set_run_mode", mode=str(mode))

    def set_project(self, project_id: int, path: str, tx: Transaction | None = None) -> None:
        with self._joined(tx, "set project") as joined:
            self._row.changed(joined).project = (project_id, path)

    def enter(self, phase: Phase) -> None:
        """Begin a stage: usage from here on is its own. The run's next window writes it, which saves a window.

        Raises:
            ValueError: not one of the five stages.
        """
        self._usage.begin_stage(as_stage(phase))
        self._row.enter(phase)

    def set_phase(self, phase: Phase, tx: Transaction | None = None) -> None:
        """Write that a stage begins and the one before ends, which does so in its last window; set ``row_counts``.

        Raises:
            ValueError: as for ``enter``.
        """
        if tx is None:
            self._usage.begin_stage(as_stage(phase))
        with self._joined(tx, "set phase") as joined:
            self._row.changed(joined).phase = as_stage(phase)
            self._remember(joined, "row_counts", value={**self.row_counts, **count_rows_before(joined, phase)})

    def set_counters(self, counters: Counters, tx: Transaction | None = None) -> None:
        """All counters, as absolute values."""
        with self._joined(tx, "set counters") as joined:
            self._guarded(joined, "set_run_counters", **counters.model_dump())

    def add_counters(self, tx: Transaction, **increments: int) -> None:
        """Raise counters by name; those not named stay as they are."""
        if unknown := increments.keys() - Counters.model_fields.keys():
            raise ValueError(f"no such counters: {', '.join(sorted(unknown))}")
        self._row.changed(tx).counters.update(increments)

    def count_requests(self, http: HttpStats) -> None:
        """Requests that the run sent since the last call; written with the next stage or the ending."""
        self._usage.count_requests(http)

    def heartbeat_if_due(self, tx: Transaction | None = None, *, cancelled: threading.Event | None = None) -> bool:
        """Write a heartbeat if the last one is 15 s old or older; True if it was written.

        ``cancelled`` ends the wait for its own window, as in ``Ledger.write``.
        """
        last = self._row.last_heartbeat
        if last is not None and self._clock() - last < timedelta(seconds=HEARTBEAT_SECONDS):
            return False
        with self._joined(tx, "heartbeat", cancelled=cancelled) as joined:
            self._row.changed(joined)
        return True

    @contextmanager
    def window(self, purpose: str, *, cancelled: threading.Event | None = None) -> Iterator[Transaction]:
        """A write window of this run; its last statement is a heartbeat that fails if the run is lost.

        Raises:
            RunLostError: at the window's end; nothing was written and nothing may be.
            LedgerError: as ``Ledger.write``.
        """
        with self._ledger.write(purpose, cancelled=cancelled) as tx:
            self._row.changed(tx)
            yield tx

    async def in_window(self, purpose: str, work: Callable[[Transaction], T]) -> T:
        """``work`` in such a window, in a thread; cancellation as in ``Ledger.in_write``."""

        def fenced(tx: Transaction) -> T:
            self._row.changed(tx)
            return work(tx)

        return await self._ledger.in_write(purpose, fenced)

    async def in_read(self, purpose: str, work: Callable[[Transaction], T]) -> T:
        """``work`` in a read window, in a thread; cancellation as in ``Ledger.in_read``."""
        return await self._ledger.in_read(purpose, work)

    def outcomes(
        self, tx: Transaction | None = None, *, keys: Collection[EntityKey] | None = None
    ) -> list[EntityOutcome]:
        """Outcomes of the run, of ``keys`` or all, issues first, each by ascending IID."""
        if self._known is not None:
            known = self._known.values()
            return list(known if keys is None else (one for one in known if one.key in keys))
        if tx is None:
            with self._ledger.read("outcomes") as own:
                return self.outcomes(own, keys=keys)
        return store.load_outcomes(tx, self.run_id, keys)

    def save_outcomes(self, tx: Transaction, outcomes: Sequence[EntityOutcome]) -> None:
        """Replace these outcomes and their failures whole, in a window of this run."""
        store.save_outcomes(tx, self.run_id, outcomes, instead_of=self._known)
        if self._known is not None:
            self._remember(tx, "_known", value=self._known | {one.key: one for one in outcomes})

    def finish_succeeded(self) -> bool:
        """Everything asked for is up to date. False: the run was lost, its row is left as it is."""
        return self._finish(RunStatus.SUCCEEDED)

    def finish_succeeded_with_warnings(self) -> bool:
        """Some of it is not; the outcomes say what. False: the run was lost, its row is left as it is."""
        return self._finish(RunStatus.SUCCEEDED_WITH_WARNINGS)

    def conclude(self, tx: Transaction | None = None) -> RunStatus:
        """End a run that completed all stages as its outcomes say; returns how it ended.

        With ``tx``, the last window of its last stage, a run that must fail is left to a call without it. A run
        that has ended meanwhile is left as it is.
        """
        if self.ended_as is not None:
            return self.ended_as
        with self._joined(tx, "conclude") as joined:
            status = conclude(self.outcomes(joined))
            if tx is None:
                self._finish_in(joined, status, NOTHING_USABLE if status is RunStatus.FAILED else None)
            elif status is not RunStatus.FAILED and not self._finish_in(tx, status, None):
                raise self._row.lost(tx)
        return status

    def finish_failed(self, failure: Failure, *, if_silent_since: RunSummary | None = None) -> bool:
        """The run ends by ``failure``, and with it every entity that was not complete, from queued too.

        ``if_silent_since``: the run as seen by a caller that considers it lost; it ends only if it has
        given no sign of life since. False: the run was lost or lives on, its row is left as it is.
        """
        return self._finish(RunStatus.FAILED, failure, seen=if_silent_since)

    def finish_cancelled(
        self, why: str = "The run was cancelled.", *, if_silent_since: RunSummary | None = None
    ) -> bool:
        """Somebody stopped the run; every entity that was not complete fails with CANCELLED, from queued too.

        ``if_silent_since`` and the return value as in ``finish_failed``.
        """
        return self._finish(RunStatus.CANCELLED, why, seen=if_silent_since)

    def _finish(
        self, status: RunStatus, ended_by: Failure | str | None = None, *, seen: RunSummary | None = None
    ) -> bool:
        with self._ledger.write(f"finish {status}") as tx:
            return self._finish_in(tx, status, ended_by, seen=seen)

    def _finish_in(
        self, tx: Transaction, status: RunStatus, ended_by: Failure | str | None, *, seen: RunSummary | None = None
    ) -> bool:
        if seen is None:
            self._row.end(tx)
        ended = end_run(
            tx,
            self.run_id,
            status=status,
            ended_by=ended_by,
            now=self._clock(),
            seen=seen,
            known=None if self._known is None else list(self._known.values()),
        )
        if ended:
            self._remember(tx, "ended_as", value=status)
            self._remember(tx, "_known", value=None)  # The ending failed what was not complete.
        return ended

    def _insert(self, tx: Transaction, scope: Scope, row: Mapping[str, object]) -> None:
        """The row of a new run, or of one that waited as queued, and a pending outcome for each entity."""
        if not begin_run(tx, self.run_id, scope, row=row):
            raise self._row.lost(tx)
        self._known = {
            key: EntityOutcome(entity_type=key.entity_type, iid=key.iid) for key in sorted(scope.keys())
        }

    def _take_over(self, tx: Transaction, inheritance: Inheritance | None) -> None:
        if inheritance is None:
            return
        if inheritance.project_id is not None:
            self.set_project(inheritance.project_id, inheritance.project_path, tx)
        self.save_outcomes(tx, inheritance.outcomes)
        self.set_counters(inheritance.counters, tx)

    def _joined(
        self, tx: Transaction | None, purpose: str, *, cancelled: threading.Event | None = None
    ) -> AbstractContextManager[Transaction]:
        return nullcontext(tx) if tx is not None else self._ledger.write(purpose, cancelled=cancelled)

    def _remember(self, tx: Transaction, name: str, *, value: object) -> None:
        """Set an attribute of this object; reset if the window is rolled back."""
        before = getattr(self, name)
        setattr(self, name, value)
        tx.on_rollback(lambda: setattr(self, name, before))

    def _guarded(self, tx: Transaction, query_name: str, **params: object) -> None:
        if not tx.execute(query_name, run_id=self.run_id, **params):
            raise self._row.lost(tx)
