"""When requests with one token may begin: a pause after a refusal, and spreading when few are left.

Values only. A store keeps one for a process (`OwnPacing`) or for all processes of a machine (`shared_pacing`).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

MAX_PACE_SECONDS = 2.0
"""Longest wait between two requests when few are left; a refusal (429) may wait longer."""

RETURN_SECONDS = 0.05
RETURNING_SECONDS = 5.0
"""After a pause, requests begin this far apart for so long: otherwise all would return at the same moment."""

LONGEST_PAUSE_SECONDS = 3600.0
"""No budget is longer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pacing:
    """Times are seconds of one clock, which all who share the value read.

    Nothing begins before ``paused_until``. Up to ``spread_until``, requests begin ``gap_seconds`` apart, the next
    one at ``next_start``.
    """

    paused_until: float = 0.0
    gap_seconds: float = 0.0
    spread_until: float = 0.0
    next_start: float = 0.0

    def paused(self, until: float) -> "Pacing":
        """No request begins before ``until``, and then one after the other; a shorter pause changes nothing."""
        if until <= self.paused_until:
            return self
        return Pacing(
            paused_until=until,
            gap_seconds=max(self.gap_seconds, RETURN_SECONDS),
            spread_until=max(self.spread_until, until + RETURNING_SECONDS),
            next_start=max(self.next_start, until),
        )

    def spread(self, *, remaining: int, until: float, now: float) -> "Pacing":
        """``remaining`` requests are left until then: spread them evenly."""
        return replace(
            self, gap_seconds=min(MAX_PACE_SECONDS, max(0.0, until - now) / remaining), spread_until=until
        )

    def free(self) -> "Pacing":
        """Plenty are left."""
        return replace(self, gap_seconds=0.0) if self.gap_seconds else self

    def reserved(self, now: float) -> "tuple[Pacing, float]":
        """The time at which the caller's request may begin, and the value for those after it."""
        earliest = max(now, self.paused_until)
        if not self.gap_seconds or earliest >= self.spread_until:
            return self, earliest
        start = min(max(earliest, self.next_start), self.spread_until)  # behind that, nothing is spread
        return replace(self, next_start=start + self.gap_seconds), start


class PacingStore(Protocol):
    """Keeps one value. Safe to use from several threads; neither method waits longer than some milliseconds."""

    def read(self) -> Pacing: ...

    def update(self, change: Callable[[Pacing], tuple[Pacing, T]]) -> T:
        """Replace the value by the one that ``change`` returns, and return what it returns beside it."""
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
