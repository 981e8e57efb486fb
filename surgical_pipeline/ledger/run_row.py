"""The row of a running run and its stages, as its windows change them: one statement each, at a window's end."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from surgical_pipeline.domain.lifecycle import STAGES, Phase, RunStatus
from surgical_pipeline.domain.outcomes import Counters
from surgical_pipeline.ledger.clock import Clock
from surgical_pipeline.ledger.columns import columns
from surgical_pipeline.ledger.errors import LedgerError, LedgerReplacedError, RunLostError
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.usage import NOTHING, Usage, Used


@dataclass(slots=True)
class Changes:
    """What one window changes in the row; counters as increments."""

    phase: Phase | None = None
    project: tuple[int | None, str | None] = (None, None)
    counters: Counter[str] = field(default_factory=Counter)
    with_usage: bool = False
    """Also what the run has used so far, which otherwise is written with the next stage."""


class RunRow:
    """Only the recorder uses it. ``location``: of the ledger, for errors."""

    def __init__(self, run_id: str, usage: Usage, *, location: str, clock: Clock) -> None:
        self._run_id = run_id
        self._usage = usage
        self._clock = clock
        self._location = location
        self._open: dict[Transaction, Changes] = {}
        self._phase: Phase | None = None
        self._entering: dict[Phase, datetime] = {}
        self.last_heartbeat: datetime | None = None

    def enter(self, phase: Phase) -> None:
        """The run is in that stage from now on; its next window writes it."""
        if self._is_later(phase):
            self._entering.setdefault(phase, self._clock())

    def begin(self, tx: Transaction, phase: Phase, *, now: datetime) -> None:
        """The window inserts the row with its first stage."""
        tx.execute("open_phase", run_id=self._run_id, phase=str(phase), now=now)
        self._remember(tx, phase=phase, heartbeat=now)

    def join(self, tx: Transaction, phase: Phase) -> None:
        """Another process of the run has inserted the row, and has brought it to that stage."""
        self._remember(tx, phase=phase, heartbeat=self._clock())

    def changed(self, tx: Transaction) -> Changes:
        """What the window changes, to be added to. Even without changes it writes a heartbeat, which is its fence.

        Raises:
            LedgerError: at the window's end, which rolls it back: the run is not running.
        """
        if tx not in self._open:
            self._open[tx] = Changes()
            tx.before_commit(lambda: self._complete(tx))
            tx.on_rollback(lambda: self._forget(tx))
        return self._open[tx]

    def end(self, tx: Transaction) -> None:
        """Write what the window has changed so far and all usage, if the run is running: it is about to end."""
        self._write(tx, self.changed(tx), ending=True)
        self._forget(tx)

    def lost(self, tx: Transaction) -> LedgerError:
        """Why the run's row is not ``running``. A begun run is not queued: such a row is another ledger's."""
        row = tx.rows("load_run", run_id=self._run_id)
        if row and row[0]["status"] != RunStatus.QUEUED:
            return RunLostError(self._run_id)
        return LedgerReplacedError(self._location, self._run_id)

    def _complete(self, tx: Transaction) -> None:
        if tx in self._open and not self._write(tx, self._open[tx]):
            raise self.lost(tx)
        self._forget(tx)

    def _forget(self, tx: Transaction) -> None:
        self._open.pop(tx, None)

    def _write(self, tx: Transaction, changes: Changes, *, ending: bool = False) -> bool:
        """False, with nothing written, if the run is not running."""
        now = self._clock()
        begun = self._begun(changes.phase, now)
        entered = next(reversed(begun), None)
        used, by_stage = self._usage.take(tx) if ending or entered or changes.with_usage else (NOTHING, {})
        if not tx.execute(
            "update_run",
            run_id=self._run_id,
            now=now,
            phase=None if entered is None else str(entered),
            project_id=changes.project[0],
            project_path=changes.project[1],
            longest_lock_held_ms=used.lock.longest_held_ms,
            http_retries=used.http.retries,
            http_rate_limited=used.http.rate_limited,
            **used.columns,
            **{name: changes.counters[name] for name in Counters.model_fields},
        ):
            return False
        if entered is not None:
            for phase, at in begun.items():
                tx.execute("open_phase", run_id=self._run_id, phase=str(phase), now=at)
            by_stage = {**({} if self._phase is None else {self._phase: NOTHING}), **by_stage}
        self._update_phases(tx, by_stage, begun=begun, now=now)
        self._remember(tx, phase=entered or self._phase, heartbeat=now)
        return True

    def _begun(self, phase: Phase | None, now: datetime) -> dict[Phase, datetime]:
        """The stages that the run has entered and not written, in their order, with when it did."""
        entering = self._entering if phase is None else {phase: now, **self._entering}
        later = sorted(filter(self._is_later, entering), key=STAGES.index)
        return {one: entering[one] for one in later}

    def _is_later(self, phase: Phase) -> bool:
        return self._phase is None or STAGES.index(phase) > STAGES.index(self._phase)

    def _update_phases(
        self, tx: Transaction, used: Mapping[Phase, Used], *, begun: dict[Phase, datetime], now: datetime
    ) -> None:
        """Write the use of these stages. All but the one that the run is in have ended: when the next began."""
        if not used:
            return
        current = next(reversed(begun), self._phase)
        ends = dict(zip((self._phase, *begun), begun.values(), strict=False))
        rows = [
            (str(phase), None if phase is current else ends.get(phase, now), *of.columns.values())
            for phase, of in used.items()
        ]
        names = ("phase", "finished_at", *NOTHING.columns)
        tx.execute("update_phases", run_id=self._run_id, **columns(rows, *names))

    def _remember(self, tx: Transaction, *, phase: Phase | None, heartbeat: datetime) -> None:
        before = self._phase, self.last_heartbeat
        self._phase, self.last_heartbeat = phase, heartbeat

        def reset() -> None:
            self._phase, self.last_heartbeat = before

        tx.on_rollback(reset)
