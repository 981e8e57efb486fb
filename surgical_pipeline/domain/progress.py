"""How far a run is, for whoever watches it in its own process; the ledger is not asked."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from surgical_pipeline.domain.budgets import MonotonicClock


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` of a phase, of which ``failed`` failed or lack something; ``unit``: what is counted.

    ``requests``: to GitLab, of the whole run; None where none are sent. ``seconds``: since the phase began.
    """

    phase: str
    done: int
    total: int
    failed: int = 0
    unit: str = "entities"
    requests: int | None = None
    seconds: float = 0.0


class Tally:
    """What a run has done so far; its stages count, others look. Threads may share it.

    A stage that begins again, for entities that were left out at first, goes on counting.
    """

    def __init__(self, clock: MonotonicClock = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._now: Progress | None = None
        self._began = 0.0
        self._finished_requests = 0
        self._requests_of: Callable[[], int] | None = None

    def begin(self, phase: str, total: int, *, unit: str = "entities") -> None:
        """A phase begins with so many to do, or goes on with so many more."""
        with self._guard:
            if self._now is not None and self._now.phase == phase:
                self._now = replace(self._now, total=self._now.total + total)
            else:
                self._now, self._began = Progress(phase, done=0, total=total, unit=unit), self._clock()

    def count(self, done: int, failed: int = 0) -> None:
        """So many more are done, of which so many failed."""
        with self._guard:
            if self._now is not None:
                self._now = replace(self._now, done=self._now.done + done, failed=self._now.failed + failed)

    def watch_requests(self, requests: Callable[[], int] | None) -> None:
        """Where the number of requests can be looked up from now on; None: what it was is all there is."""
        with self._guard:
            if self._requests_of is not None:
                self._finished_requests += self._requests_of()
            self._requests_of = requests

    @property
    def now(self) -> Progress | None:
        """None before the first phase."""
        with self._guard:
            if self._now is None:
                return None
            requests = self._finished_requests + (self._requests_of() if self._requests_of else 0)
            return replace(self._now, requests=requests, seconds=self._clock() - self._began)


class _NoTally(Tally):
    """Where nobody looks."""

    def begin(self, phase: str, total: int, *, unit: str = "entities") -> None:
        pass

    def count(self, done: int, failed: int = 0) -> None:
        pass

    def watch_requests(self, requests: Callable[[], int] | None) -> None:
        pass


UNWATCHED: Tally = _NoTally()
