"""From the spool into the ledger's inbox, as soon as something is in the one and the other can be had."""

import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.ledger.clock import Clock, utc_now
from surgical_pipeline.ledger.errors import LedgerError, WaitAbandonedError
from surgical_pipeline.ledger.inbox import insert_events, record_deliveries
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import SettingsError
from surgical_pipeline.webhook.spool import Spool
from surgical_pipeline.webhook.spool_file import SpoolError

_LOG = logging.getLogger(__name__)
MOST_AT_ONCE = 20_000
TELL_SECONDS = 60.0
"""How often what was counted is brought over if no event came: refusals alone are worth no window each."""
PAUSE_SECONDS = 0.2
"""Between two windows, so that a burst takes five a second and not one for each event."""
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 15.0
_STOP_SECONDS = 2.0
_DEFECT = str(FailureCode.INTERNAL_ERROR)


@dataclass(frozen=True, slots=True)
class DrainState:
    """Where the drain is.

    Args:
        drained_at: when it last brought something over; None if it has not since it started.
        trouble: a failure code, or ``SPOOL_ERROR``, while events cannot be brought over, else None.
        since: when that trouble began.
    """

    drained_at: datetime | None = None
    trouble: str | None = None
    since: datetime | None = None


class Drain:
    """A thread that brings events over. An event leaves the spool only after the ledger's window is committed.

    Args:
        open_ledger: gives the ledger; may raise SettingsError while its folder is missing.
    """

    def __init__(self, spool: Spool, open_ledger: Callable[[], Ledger], *, clock: Clock = utc_now) -> None:
        self._spool = spool
        self._open_ledger = open_ledger
        self._clock = clock
        self._ledger: Ledger | None = None
        self._told = DeliveryCounts()
        self._name = f"{socket.gethostname()}:{spool.path}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self.state = DrainState()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End a wait for the ledger; a window that is open is committed first. Waits two seconds at most."""
        self._stopped.set()
        self._spool.filled.set()
        self._thread.join(timeout=_STOP_SECONDS)

    def _run(self) -> None:
        delay = FIRST_DELAY_SECONDS
        while not self._stopped.is_set():
            self._spool.filled.wait(TELL_SECONDS)
            if self._stopped.is_set():
                return
            self._spool.filled.clear()
            try:
                more = self.bring_over()
            except WaitAbandonedError:
                return
            except Exception as error:  # noqa: BLE001  a defect, too, must not end the thread
                self._wait_after(error, delay)
                delay = min(2 * delay, LONGEST_DELAY_SECONDS)
            else:
                delay = FIRST_DELAY_SECONDS
                if more:
                    self._spool.filled.set()
                self._stopped.wait(PAUSE_SECONDS)

    def bring_over(self) -> bool:
        """One window for all that waits, and what was counted; True if there may be more.

        Raises:
            LedgerError, SettingsError: the ledger cannot be had now; the events stay in the spool.
            SpoolError: the spool cannot be read.
        """
        waiting = self._spool.oldest(MOST_AT_ONCE)
        _, counted = self._spool.state().result()
        if waiting or counted != self._told:
            self._ledger = self._ledger or self._open_ledger()
            with self._ledger.write("inbox", cancelled=self._stopped) as tx:
                new = insert_events(tx, [event for _, event in waiting])
                record_deliveries(tx, self._name, counted)
            self._told = counted
            self._spool.remove([position for position, _ in waiting])
            _LOG.info("events brought over into the ledger: %s, new: %s", len(waiting), new)
        self._over(brought=bool(waiting))
        return len(waiting) == MOST_AT_ONCE

    def _over(self, *, brought: bool) -> None:
        if self.state.trouble:
            _LOG.warning("events reach the ledger again")
        self.state = DrainState(drained_at=self._clock() if brought else self.state.drained_at)

    def _wait_after(self, error: Exception, delay: float) -> None:
        """Told once for each trouble: it may last for hours."""
        trouble = _code(error)
        if trouble != self.state.trouble:
            self.state = replace(self.state, trouble=trouble, since=self.state.since or self._clock())
            defect = error if trouble == _DEFECT else None
            _LOG.warning("events wait in the spool, and none is lost: %s", error, exc_info=defect)
        self._spool.filled.set()
        self._stopped.wait(delay)


def _code(error: Exception) -> str:
    if isinstance(error, LedgerError | SettingsError):
        return str(error.code)
    return "SPOOL_ERROR" if isinstance(error, SpoolError) else _DEFECT
