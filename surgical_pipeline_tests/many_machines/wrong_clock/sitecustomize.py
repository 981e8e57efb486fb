"""On the path of a machine with a wrong clock: Python sleeps there as everywhere.

faketime shifts the time until which Python sleeps, although that is told by a clock that it leaves alone.
"""

import select
import time


def _sleep(seconds: float) -> None:
    select.select((), (), (), seconds)


setattr(time, "sleep", _sleep)  # noqa: B010  its type says more than a caller needs
