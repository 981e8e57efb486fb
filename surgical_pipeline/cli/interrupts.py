"""Ctrl+C and SIGTERM: whether termination was requested, no matter which signal handler is in place.

Dagster replaces the handlers while it runs, and raises its own exception. Blocking the signals does not work:
programs that Dagster starts would inherit that. Python itself reports each signal through its wake-up pipe.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_ASKED = frozenset({signal.SIGINT, signal.SIGTERM})


class Interrupts:
    """``asked``: whether one of the two signals came since this was created."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._came = False

    def asked(self) -> bool:
        with suppress(BlockingIOError):
            self._came = self._came or bool(_ASKED & set(os.read(self._pipe, 4096)))
        return self._came


@contextmanager
def noted_interrupts() -> Iterator[Interrupts]:
    """Call it from the main thread. Until Dagster takes over, SIGTERM raises KeyboardInterrupt as Ctrl+C does."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    wakeup_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handler_before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield Interrupts(reading)
    finally:
        signal.signal(signal.SIGTERM, handler_before)
        signal.set_wakeup_fd(wakeup_before)
        os.close(reading)
        os.close(writing)
