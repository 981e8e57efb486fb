"""The heartbeat of a run: a thread that lives and dies with the run's process."""

import logging
import threading
from types import TracebackType
from typing import Self

from surgical_pipeline.ledger.errors import LedgerError, LedgerReplacedError, RunLostError, WaitAbandonedError
from surgical_pipeline.ledger.recorder import SyncRunRecorder

CHECK_SECONDS = 5.0
"""How often the thread checks whether a heartbeat is due: every window of the run counts as one, too."""

_LOG = logging.getLogger(__name__)


class Heartbeat:
    """Reports ``run`` as alive as long as the block runs, also while a stage fetches or embeds.

    If the ledger cannot be written, it tries again later. If the run is lost, the run's next window reports that
    to the stage.
    """

    def __init__(self, run: SyncRunRecorder, *, check_seconds: float = CHECK_SECONDS) -> None:
        self._run = run
        self._check_seconds = check_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{run.run_id[:8]}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """A heartbeat that waits for the lock is abandoned; one that is being written is awaited."""
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stopped.wait(self._check_seconds):
            try:
                self._run.heartbeat_if_due(cancelled=self._stopped)
            except (RunLostError, LedgerReplacedError, WaitAbandonedError) as reason:
                _LOG.info("the heartbeat of run %s ends: %s", self._run.run_id, reason)
                return
            except LedgerError as error:
                _LOG.warning("run %s could not say that it is alive: %s", self._run.run_id, error)
