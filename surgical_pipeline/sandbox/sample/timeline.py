"""When things happened: deterministic, every instant in 2026 and before November."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Final

from surgical_pipeline.sandbox.api.params import format_instant

FIRST_DAY: Final = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
LAST_MOMENT: Final = datetime(2026, 10, 30, 17, 0, tzinfo=UTC)
PLAIN_FROM: Final = datetime(2026, 10, 1, 6, 0, tzinfo=UTC)


class Timeline:
    """The instants of one entity, each later than the one before."""

    def __init__(self, opened: datetime, *, seed: str) -> None:
        self.random = random.Random(seed)
        self._now = opened + timedelta(milliseconds=self.random.randrange(100_000))

    @property
    def now(self) -> str:
        return format_instant(self._now)

    def later(self, *, minutes: int) -> str:
        """Move on by up to `minutes`, at least half a minute (a second near the end of the sample's time)."""
        step = timedelta(milliseconds=self.random.randrange(30_000, max(minutes, 1) * 60_000 + 30_001))
        following = self._now + step
        self._now = following if following < LAST_MOMENT else self._now + timedelta(milliseconds=1013)
        return self.now


def opened_at(position: int, count: int) -> datetime:
    """When number `position` of `count` hand-written entities was opened: evenly from January to September."""
    return FIRST_DAY + timedelta(days=262) * position / max(count, 1)


def plain_opened_at(position: int) -> datetime:
    """When a composed entity was opened: every two and a half minutes of October."""
    return min(PLAIN_FROM + timedelta(seconds=150 * position), LAST_MOMENT)
