"""Progress of what runs in this process: one line on a terminal, rewritten; elsewhere plain lines now and then.

Fed with values (`domain.progress.Progress`) by whoever knows them; it asks no ledger.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto

from surgical_pipeline.domain.budgets import MonotonicClock
from surgical_pipeline.domain.progress import Progress

LINE_EVERY_SECONDS = 10.0
_REFRESHES_PER_SECOND = 4
_RATE_OF_LAST_SECONDS = 5.0
_GUESS_AFTER_SECONDS = 2.0
"""How long a phase goes on before its rest is guessed."""
_MINUTE, _HOUR = 60, 3600

Look = Callable[[], Progress | None]
"""How far it is now; None: it has not begun."""


class Display(Enum):
    """Where progress is shown. ``LINE``: on the terminal; ``LINES``: in a log; stdout is never written to."""

    NOTHING = auto()
    LINE = auto()
    LINES = auto()


def display_for(*, as_json: bool, verbose: bool) -> Display:
    """The line where a person watches, lines where a log was asked for."""
    if sys.stderr.isatty():
        return Display.NOTHING if as_json else Display.LINE
    return Display.LINES if verbose else Display.NOTHING


class Told:
    """Puts progress into words; remembers how many requests there were, for their rate."""

    def __init__(self, clock: MonotonicClock = time.monotonic) -> None:
        self._clock = clock
        self._phase = ""
        self._requests: deque[tuple[float, int]] = deque()

    def line(self, now: Progress) -> str:
        """``dependents 340/1,000, 2 failed, 85 requests/s, about 20 s left``; what is not known is left out."""
        unit = "" if now.unit == "entities" else f" {now.unit}"
        rate, left = self._rate(now), _left(now)
        parts = [f"{now.phase} {now.done:,}/{now.total:,}{unit}"]
        parts += [f"{now.failed:,} failed"] if now.failed else []
        parts += [f"{rate:,.0f} requests/s"] if rate >= 1 else []
        parts += [f"about {_roughly(left)} left"] if left is not None else []
        return ", ".join(parts)

    def _rate(self, now: Progress) -> float:
        """Requests a second of the last seconds of this phase."""
        if now.requests is None:
            return 0.0
        if now.phase != self._phase:  # the next one may send none
            self._phase = now.phase
            self._requests.clear()
        at = self._clock()
        self._requests.append((at, now.requests))
        while len(self._requests) > 2 and self._requests[1][0] <= at - _RATE_OF_LAST_SECONDS:  # noqa: PLR2004
            self._requests.popleft()
        since, before = self._requests[0]
        return (now.requests - before) / (at - since) if at - since >= 1 else 0.0


@contextmanager
def shown_progress(look: Look, display: Display) -> Iterator[None]:
    """Show what ``look`` says until the block ends, however it ends; the terminal's line is then cleared."""
    if display is Display.LINE:
        with _rewritten(look):
            yield
    elif display is Display.LINES:
        with _now_and_then(look):
            yield
    else:
        yield


@contextmanager
def _rewritten(look: Look) -> Iterator[None]:
    from rich.live import Live
    from rich.text import Text

    from surgical_pipeline.cli.terminal import lasting_err, words

    told = Told()

    def rendered() -> Text:
        now = look()
        line = words(told.line(now) if now else "starting")
        line.no_wrap, line.overflow = True, "ellipsis"
        return line

    with (
        lasting_err() as console,
        Live(get_renderable=rendered, console=console, transient=True, refresh_per_second=_REFRESHES_PER_SECOND),
    ):
        yield


@contextmanager
def _now_and_then(look: Look) -> Iterator[None]:
    from surgical_pipeline.cli.terminal import lasting_err, tell

    told, over = Told(), threading.Event()
    with lasting_err() as console:

        def lines() -> None:
            before: Progress | None = None
            while not over.wait(LINE_EVERY_SECONDS):
                now = look()
                if now and (before is None or (now.phase, now.done) != (before.phase, before.done)):
                    tell(told.line(now), to=console)
                    before = now

        teller = threading.Thread(target=lines, name="progress", daemon=True)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()


def _left(now: Progress) -> float | None:
    """Seconds, if the rest goes on as the phase did so far; None: too early, or nothing is left."""
    if now.seconds < _GUESS_AFTER_SECONDS or not 0 < now.done < now.total:
        return None
    return now.seconds / now.done * (now.total - now.done)


def _roughly(seconds: float) -> str:
    """Two digits at most: the guess is no better than that."""
    if seconds < _MINUTE:
        step = 1 if seconds < 10 else 5  # noqa: PLR2004  the larger, the rougher
        return f"{max(1, round(seconds / step) * step)} s"
    if seconds < 2 * _HOUR:
        return f"{max(1, round(seconds / _MINUTE))} min"
    return f"{round(seconds / _HOUR):,} h"
