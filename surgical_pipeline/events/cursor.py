"""The cursor of the sensor `gitlab_webhooks`: a text of at most 2 KB, for every tick stores it whole."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.events.debounce import Ask, Waiting

MAX_BYTES = 2048
MAX_OUTSTANDING = 20
"""Two ticks' worth of runs."""
APPEARS_WITHIN = timedelta(seconds=60)
"""A run that was asked for longer ago, and is not in Dagster, never will be."""


class CursorError(ValueError):
    """The text is no cursor; the message says so in a sentence."""


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A run that was asked for and was not seen in Dagster yet. ``number``: that of the ask."""

    number: int
    asked_at: datetime
    project_id: int
    first_seq: int
    upto: int

    def holds(self, one: Waiting) -> bool:
        """Whether the entity may have been asked for in it: its events lie among those it takes.

        Some others lie there, too, and then wait until the run is seen: a moment.
        """
        untried = one.attempted_at is None or one.attempted_at < self.asked_at
        within = one.first_seq <= self.upto and one.last_seq >= self.first_seq
        return untried and within and one.project_id == self.project_id


@dataclass(frozen=True, slots=True)
class InboxCursor:
    """What the sensor remembers.

    Args:
        mark: which ledger it read, and how far that had come (``ledger/runs.py``, ``mark_of``).
        seq: the highest number of an event that was asked for.
        asks: number of the last ask. The first is a time in seconds since 1970, so that a cursor that was reset in
            Dagster's UI never repeats a ``run_key``: Dagster remembers those for ever.
        outstanding: asks whose runs were not seen yet, the latest last.
    """

    mark: str = ""
    seq: int = 0
    asks: int = 0
    outstanding: tuple[Outstanding, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` wrote.

        Raises:
            CursorError: it is something else.
        """
        try:
            found = json.loads(text)
            outstanding = tuple(
                Outstanding(int(number), datetime.fromtimestamp(at, UTC), int(project_id), int(first), int(upto))
                for number, at, project_id, first, upto in found["outstanding"]
            )
            mark = str(found["ledger"])
            if mark:
                _, number, _ = mark.split("/")
                int(number)
            return cls(mark, int(found["seq"]), int(found["asks"]), outstanding)
        except (ValueError, TypeError, KeyError, OverflowError, OSError) as error:
            raise CursorError("The cursor cannot be read: events are asked for anew") from error

    def __str__(self) -> str:
        outstanding = [
            [one.number, round(one.asked_at.timestamp(), 3), one.project_id, one.first_seq, one.upto]
            for one in self.outstanding
        ]
        found = {"ledger": self.mark, "seq": self.seq, "asks": self.asks, "outstanding": outstanding}
        return json.dumps(found, separators=(",", ":"))

    def numbered(self, count: int, *, now: datetime) -> tuple[Self, tuple[int, ...]]:
        """The cursor once so many more runs were asked for, and their numbers."""
        first = self.asks + 1 if self.asks else int(now.timestamp())
        numbers = tuple(range(first, first + count))
        return (replace(self, asks=numbers[-1]) if numbers else self), numbers

    def after(self, asks: Sequence[Ask], *, now: datetime) -> tuple[Self, tuple[int, ...]]:
        """The cursor once these were asked for, and their numbers."""
        cursor, numbers = self.numbered(len(asks), now=now)
        new = tuple(
            Outstanding(number, now, ask.project_id, ask.first_seq, ask.upto)
            for number, ask in zip(numbers, asks, strict=True)
        )
        cursor = replace(
            cursor,
            seq=max([self.seq, *(ask.upto for ask in asks)]),
            outstanding=(*self.outstanding, *new)[-MAX_OUTSTANDING:],
        )
        return cursor, numbers

    def without(self, seen: Collection[int], *, now: datetime) -> Self:
        """The cursor without asks whose runs were seen, or can no longer appear."""
        left = tuple(
            one for one in self.outstanding if one.number not in seen and abs(now - one.asked_at) < APPEARS_WITHIN
        )
        return replace(self, outstanding=left)

    def held(self, waiting: Iterable[Waiting]) -> set[tuple[int, EntityKey]]:
        """Entities that may have been asked for in a run that was not seen yet."""
        return {one.identity for one in waiting if any(ask.holds(one) for ask in self.outstanding)}
