"""Signals of programs that tests start and stop, and of the tests' own process."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LONG_QUERY = "SELECT COUNT(*) AS n FROM range(1500000000) AS a WHERE hash(a.range) = 0"
"""Seconds in DuckDB, which looks for signals now and then."""


def default_signals() -> None:
    """For ``preexec_fn``: what a shell starts with ``&`` ignores SIGINT, and so does all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def soon_interrupted() -> Iterator[None]:
    """Ctrl+C, while the block's query runs in the main thread."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    keys = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    keys.start()
    try:
        yield
    finally:
        keys.join()
        signal.signal(signal.SIGINT, before)
