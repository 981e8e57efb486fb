"""When requests with one token may begin: a pause after a refusal, and spreading when few are left.

Where they are spread, people's requests go before sensors', and these before those of sweeps and backfills.

Values only. A store keeps one for a process (`OwnPacing`), for all processes of a machine (`shared_pacing`) or for
those of several machines (`common_pacing`).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol, TypeVar

from surgical_pipeline.domain.budgets import MonotonicClock

MAX_PACE_SECONDS = 2.0
"""Longest wait between two requests when few are left; a refusal (429) may wait longer."""

RETURN_SECONDS = 0.05
RETURNING_SECONDS = 5.0
"""After a pause, requests begin this far apart for so long: otherwise all would return at the same moment."""

LONGEST_PAUSE_SECONDS = 3600.0
"""No budget is longer."""

LATEST_SECONDS = 2 * LONGEST_PAUSE_SECONDS
"""No time lies further ahead: a shared value that something else has written must not stop everybody."""

HASTE = 8
"""By how much the gap is divided for requests that take their room from a lower priority."""

LONGEST_DEFERENCE_SECONDS = 15.0
"""No place is moved further behind a request of a higher priority: the dependents of an entity have 20 s."""

MACHINES_ASSUMED = 4
"""How many times as far apart the requests of a machine are that cannot ask the others."""

T = TypeVar("T")


class Priority(IntEnum):
    """Who waits for the answer. The lower the number, the earlier its turn."""

    PEOPLE = 0
    SENSORS = 1
    BACKGROUND = 2
    """Sweeps and backfills."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """Times are seconds of one clock, which all who share the value read.

    Nothing begins before ``paused_until``. Up to ``spread_until``, requests begin ``gap_seconds`` apart, the next
    one of each priority at its place in ``next_starts``. Nobody registers: whoever dies leaves nothing behind.
    """

    paused_until: float = 0.0
    gap_seconds: float = 0.0
    spread_until: float = 0.0
    next_starts: tuple[float, ...] = (0.0,) * len(Priority)

    def paused(self, until: float) -> "Pacing":
        """No request begins before ``until``, and then one after the other; a shorter pause changes nothing."""
        if until <= self.paused_until:
            return self
        return Pacing(
            paused_until=until,
            gap_seconds=max(self.gap_seconds, RETURN_SECONDS),
            spread_until=max(self.spread_until, until + RETURNING_SECONDS),
            next_starts=tuple(max(start, until) for start in self.next_starts),
        )

    def spread(self, *, remaining: int, until: float, now: float) -> "Pacing":
        """``remaining`` requests are left until then: spread them evenly."""
        return replace(
            self, gap_seconds=min(MAX_PACE_SECONDS, max(0.0, until - now) / remaining), spread_until=until
        )

    def free(self) -> "Pacing":
        """Plenty are left."""
        return replace(self, gap_seconds=0.0) if self.gap_seconds else self

    def spreads(self, now: float) -> bool:
        """Whether a request that comes now needs a place among the others."""
        return bool(self.gap_seconds) and max(now, self.paused_until) < self.spread_until

    def reserved(self, now: float, priority: Priority = Priority.PEOPLE) -> "tuple[Pacing, float]":
        """The time at which the caller's request may begin, and the value for those after it."""
        earliest = max(now, self.paused_until)
        if not self.spreads(now):
            return self, earliest
        # Behind spread_until, nothing is spread.
        start = min(max(earliest, self.next_starts[priority]), self.spread_until)
        return replace(self, next_starts=self._after(start, priority)), start

    def reserved_alone(self, now: float, priority: Priority = Priority.PEOPLE) -> "tuple[Pacing, float]":
        """The same without knowing of other machines' requests: further apart, and even with plenty left."""
        gap = min(MAX_PACE_SECONDS, max(RETURN_SECONDS, MACHINES_ASSUMED * self.gap_seconds))
        until = max(self.spread_until, now + RETURNING_SECONDS)
        slower, start = replace(self, gap_seconds=gap, spread_until=until).reserved(now, priority)
        return replace(self, next_starts=slower.next_starts), start

    def joined(self, other: "Pacing") -> "Pacing":
        """What both know: no request during either's pause, and spread as long as either says."""
        later = other if other.spread_until > self.spread_until else self
        return replace(later, paused_until=max(self.paused_until, other.paused_until))

    def shifted(self, seconds: float) -> "Pacing":
        """The same by a clock that is ahead by so much; what is before its zero is long ago."""
        return Pacing(
            paused_until=max(0.0, self.paused_until + seconds),
            gap_seconds=self.gap_seconds,
            spread_until=max(0.0, self.spread_until + seconds),
            next_starts=tuple(max(0.0, start + seconds) for start in self.next_starts),
        )

    def _after(self, start: float, priority: Priority) -> tuple[float, ...]:
        """``next_starts`` once a request of that priority begins at ``start``.

        Lower priorities that have requests waiting behind it give way by one place. As long as they do, the next
        one of its own follows closely: in the end as many have begun as if all had kept their gaps.
        """
        gap = self.gap_seconds
        lower = self.next_starts[priority + 1 :]
        waiting = [place for place in lower if place > start]
        taken = bool(waiting) and waiting[-1] + gap <= start + LONGEST_DEFERENCE_SECONDS
        own = start + (min(gap, max(RETURN_SECONDS, gap / HASTE)) if taken else gap)
        latest = own + LONGEST_DEFERENCE_SECONDS
        behind = (max(place, min(place + gap, latest)) if place > start else own for place in lower)
        return (*self.next_starts[:priority], own, *behind)


class PacingStore(Protocol):
    """Keeps one value. Safe to use from several threads; neither method waits longer than some milliseconds."""

    def read(self) -> Pacing: ...

    def update(self, change: Callable[[Pacing], tuple[Pacing, T]]) -> T:
        """Replace the value by the one that ``change`` returns, and return what it returns beside it."""
        ...

    async def reserve(self, priority: Priority, clock: MonotonicClock) -> float:
        """The time at which the caller's request may begin; the next one's is after it."""
        ...


class OwnPacing:
    """Of this process alone."""

    def __init__(self) -> None:
        self._value = Pacing()
        self._guard = threading.Lock()

    def read(self) -> Pacing:
        return self._value

    def update(self, change: Callable[[Pacing], tuple[Pacing, T]]) -> T:
        with self._guard:
            self._value, result = change(self._value)
            return result

    async def reserve(self, priority: Priority, clock: MonotonicClock) -> float:
        return self.update(lambda pacing: pacing.reserved(clock(), priority))


Times = tuple[float, ...]
"""``paused_until``, ``gap_seconds``, ``spread_until`` and ``next_starts`` of a `Pacing`, by the keeper's clock."""


class CommonTimes(Protocol):
    """Keeps the times of each key, at first zeros, and has a clock. One thread uses it at a time, and may wait.

    All but ``location`` raise an OSError if they cannot be had within some seconds.
    """

    @property
    def location(self) -> str:
        """Where they are, in words for people."""

    def look(self, key: str) -> tuple[Times, float]:
        """The times, and what its clock says."""

    def exchange(self, key: str, change: Callable[[Times, float], tuple[Times, T]]) -> T:
        """Replace the times while nobody else can; ``change`` gets what ``look`` gives."""

    def close(self) -> None:
        """Until it is used again."""
