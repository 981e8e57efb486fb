"""The lock between processes: a file beside the ledger, held by blocking ``flock``.

Only a blocking ``flock`` queues in the kernel and so is fair; but it knows no time limit and ignores a caller who
has lost interest. So a short-lived thread does the blocking and hands the locked file over. A waiter that gives
up marks the attempt as abandoned, and the thread releases the lock at once if it still gets it.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from surgical_pipeline.ledger.duckdb.file import mode_of
from surgical_pipeline.ledger.errors import LedgerError, LockTimeoutError, WaitAbandonedError

_CANCEL_CHECK_SECONDS = 0.05
_held_by_this_thread = threading.local()


@dataclass(frozen=True, slots=True)
class Grant:
    """A lock that is held. ``waited_ms``: from request to acquisition."""

    waited_ms: float


@contextmanager
def locked(
    ledger: Path, *, exclusive: bool, timeout_seconds: float, cancelled: threading.Event | None = None
) -> Iterator[Grant]:
    """Hold ``<ledger>.lock``, alone or together with other shared holders, until the block ends.

    Args:
        ledger: the ledger's path; need not exist, its folder must.
        exclusive: writers need the lock alone; readers share it.
        timeout_seconds: the longest wait.
        cancelled: when set, ends the wait within 50 ms. Once the lock is held it has no effect.

    Raises:
        LockTimeoutError: the time limit passed.
        WaitAbandonedError: ``cancelled`` was set first.
        LedgerError: the lock file cannot be made or opened.
        RuntimeError: this thread already holds the lock of this ledger and would wait for itself.
    """
    mine: set[Path] = _held_by_this_thread.__dict__.setdefault("paths", set())
    path = Path(os.path.realpath(f"{ledger}.lock"))
    if path in mine:
        raise RuntimeError(
            f"This thread already has a window open on {ledger}; a second one would wait for itself."
        )
    started = time.monotonic()
    attempt = _Attempt(_open_lock_file(path, ledger), exclusive=exclusive)
    try:
        if not attempt.wait(timeout_seconds, cancelled):
            if cancelled is not None and cancelled.is_set():
                raise WaitAbandonedError(f"The wait for the ledger {ledger} was called off; nothing was written.")
            raise LockTimeoutError(ledger, time.monotonic() - started)
        mine.add(path)
        yield Grant((time.monotonic() - started) * 1000)
    finally:
        mine.discard(path)
        attempt.release()


class _Attempt:
    """One attempt at the lock. The last to finish, waiter or thread, unlocks and closes the descriptor."""

    def __init__(self, descriptor: int, *, exclusive: bool) -> None:
        self._descriptor = descriptor
        self._operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        self._guard = threading.Lock()
        self._settled = threading.Event()
        self._given_up = False
        self._error: OSError | None = None
        try:
            threading.Thread(target=self._block, name="ledger-lock", daemon=True).start()
        except BaseException:
            os.close(descriptor)
            raise

    def wait(self, timeout_seconds: float, cancelled: threading.Event | None) -> bool:
        """True once the lock is ours; False when the time is up or ``cancelled`` was set."""
        deadline = time.monotonic() + timeout_seconds
        while not (cancelled is not None and cancelled.is_set()):
            remaining = deadline - time.monotonic()
            step = remaining if cancelled is None else min(remaining, _CANCEL_CHECK_SECONDS)
            if self._settled.wait(max(step, 0)):
                if self._error is not None:
                    raise LedgerError(f"The ledger's lock failed: {self._error.strerror}.") from self._error
                return True
            if remaining <= 0:
                return False
        return False

    def release(self) -> None:
        """Unlock, or abandon the wait: then the thread unlocks when it gets the lock. Idempotent."""
        with self._guard:
            if self._given_up:
                return
            self._given_up = True
            if self._settled.is_set():
                self._close()

    def _block(self) -> None:
        error: OSError | None = None
        try:
            fcntl.flock(self._descriptor, self._operation)
        except OSError as caught:
            error = caught
        with self._guard:
            self._error = error
            self._settled.set()
            if self._given_up:
                self._close()

    def _close(self) -> None:
        # Unlock before closing: a process forked meanwhile shares the descriptor and would keep the lock.
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        finally:
            os.close(self._descriptor)


def _open_lock_file(path: Path, ledger: Path) -> int:
    """Made with the ledger's own permissions: everyone who may write the ledger must be able to lock it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode_of(ledger))
    except OSError as error:
        raise LedgerError(
            f"The ledger's lock file {path} cannot be opened: {error.strerror}. "
            "Its folder must exist and be writable; or set SURGICAL_LEDGER to a file elsewhere."
        ) from error
