"""The time that a report is about: ``7d`` as people write it, and the slots into which its charts divide it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from surgical_pipeline.domain.moments import length_of

MAX_SLOTS = 48
"""A chart with more bars than this can no longer be read on a phone."""
LONGEST = timedelta(days=3660)
_WIDTHS = (60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000, 7_776_000)
"""Seconds that a slot may have."""


class PeriodError(ValueError):
    """The text is no length of time."""


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since`` on, and before ``until``; both in UTC."""

    since: datetime
    until: datetime

    @classmethod
    def last(cls, length: timedelta, *, until: datetime) -> "Period":
        return cls((until - length).astimezone(UTC), until.astimezone(UTC))

    @property
    def slot_seconds(self) -> int:
        """How long a slot is: the shortest of some round lengths of which at most ``MAX_SLOTS`` are needed."""
        seconds = (self.until - self.since).total_seconds()
        return next((width for width in _WIDTHS if seconds / width <= MAX_SLOTS), _WIDTHS[-1])

    def slots(self) -> Iterator[int]:
        """The numbers of all slots that it touches, counted from 1970."""
        width = self.slot_seconds
        yield from range(int(self.since.timestamp() // width), int((self.until.timestamp() - 1e-6) // width) + 1)

    def start_of(self, slot: int) -> datetime:
        return datetime.fromtimestamp(slot * self.slot_seconds, tz=UTC)


def parse_length(text: str) -> timedelta:
    """``30m``, ``24h``, ``7d`` or ``4w`` as a length of time.

    Raises:
        PeriodError: anything else, nothing, or more than ten years.
    """
    length = length_of(text)
    if length is None or not timedelta() < length <= LONGEST:
        raise PeriodError(f"{text!r} is no length of time up to ten years: write 30m, 24h, 7d or 4w")
    return length


def in_words(length: timedelta) -> str:
    """``7 days``, ``24 hours``: in the largest unit that divides it and of which it has more than one."""
    seconds = round(length.total_seconds())
    for name, unit in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds % unit == 0 and (seconds > unit or unit == 1):
            count = seconds // unit
            return f"{count:,} {name}{'' if count == 1 else 's'}"
    raise AssertionError("a second divides every length")
