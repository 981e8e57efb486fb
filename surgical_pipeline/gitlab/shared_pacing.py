"""The pacing of one token for all processes of a machine: a file of some bytes, changed under `flock`.

GitLab counts requests by token, whoever sends them. Waiting happens outside the lock. The lock is held for
microseconds; if its holder was stopped in there, the others go on with what they know and slow nobody down.
"""

import contextlib
import fcntl
import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from surgical_pipeline.domain.budgets import MonotonicClock
from surgical_pipeline.gitlab.pacing import LATEST_SECONDS, Pacing, Priority

_FORMAT = struct.Struct(f"<16s{3 + len(Priority)}d")
"""The lowest priority's place comes first: files of earlier versions end after it, and have no other."""
_EARLIER_SIZE = struct.calcsize("<16s4d")
_PATIENCE_SECONDS = 0.02
_MODE = 0o600
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class SharedPacing:
    """`PacingStore` in a file. ``clock``: the same for all processes of the machine, such as its uptime.

    The file is made at the first use. Times of another boot of the machine count as none. If the file cannot be
    used, the process goes on alone, with a warning.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._boot = _boot()
        self._known = Pacing()
        self._guard = threading.Lock()
        self._file: int | None = None
        self._alone = False

    def read(self) -> Pacing:
        """Without the lock: a mixture of two values differs by one request's place at most."""
        with self._guard:
            with self._trouble_told():
                self._known = self._load(self._opened())
            return self._known

    def update(self, change: Callable[[Pacing], tuple[Pacing, T]]) -> T:
        with self._guard:
            with self._trouble_told():
                file = self._opened()
                with _locked(file) as ours:
                    if ours:
                        before = self._load(file)
                        self._known, result = change(before)
                        if self._known != before:
                            os.pwrite(file, self._packed(self._known), 0)
                        return result
            self._known, result = change(self._known)
            return result

    async def reserve(self, priority: Priority, clock: MonotonicClock) -> float:
        return self.update(lambda pacing: pacing.reserved(clock(), priority))

    def close(self) -> None:
        with self._guard:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def __del__(self) -> None:
        self.close()

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        return self._file

    def _load(self, file: int) -> Pacing:
        raw = os.pread(file, _FORMAT.size, 0)
        if len(raw) < _EARLIER_SIZE:
            return Pacing()
        boot, *times = _FORMAT.unpack(raw.ljust(_FORMAT.size, b"\0"))
        latest = self._clock() + LATEST_SECONDS
        if boot != self._boot or not all(0.0 <= value <= latest for value in times):
            return Pacing()
        paused_until, gap_seconds, spread_until, *places = times
        return Pacing(paused_until, gap_seconds, spread_until, next_starts=tuple(reversed(places)))

    def _packed(self, value: Pacing) -> bytes:
        times = (value.paused_until, value.gap_seconds, value.spread_until)
        return _FORMAT.pack(self._boot, *times, *reversed(value.next_starts))

    @contextlib.contextmanager
    def _trouble_told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._alone:
                _LOG.warning("the rate limit is not shared with other processes: %s", error)
            self._alone = True


@contextlib.contextmanager
def _locked(file: int) -> Iterator[bool]:
    """Whether the lock could be had in time."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= end:
                yield False
                return
            time.sleep(0.001)
    try:
        yield True
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def _boot() -> bytes:
    """Sixteen bytes that differ from one start of the machine to the next; zeros where it does not tell."""
    try:
        return bytes.fromhex(_BOOT_ID.read_text(encoding="ascii").strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return bytes(16)
