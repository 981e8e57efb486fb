"""GitLab's clock, as its answers report it: the one clock of all machines that write to one ledger."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from surgical_pipeline.domain.handover import GitLabTime

_TICK = timedelta(seconds=1)
"""``Date`` has whole seconds."""

_PLAUSIBLE_YEARS = range(1970, 9000)
"""Outside this range, arithmetic raises an error."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def uptime() -> float:
    """Seconds that nobody can set, the same for all processes; with times of sleep, if the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class GitLabClock:
    """Gives GitLab's time once an answer has reported it; if answers have no ``Date``, this machine's time.

    It is the machine's uptime and an offset, so setting the machine's clock in between changes nothing. An answer
    bounds the offset: its ``Date`` D was written at a moment in [D, D + 1 s) between sending and receiving. If
    the machine's own clock is within the first answer's bounds, it is used as it is: all processes of a machine
    whose clock is right read the same time. Otherwise the lower bound is used, which later answers raise and never
    lower: the time never runs backwards. It is early by at most one second plus the duration of the first answer,
    and less with each further one.
    """

    def __init__(self, wall: Callable[[], datetime] = _utc_now, uptime: Callable[[], float] = uptime) -> None:
        self._uptime = uptime
        self._started_at = uptime()
        self._started = wall()
        self.heard = False
        """Whether GitLab has answered."""
        self.ahead: timedelta | None = None
        """How far GitLab's clock is ahead of this machine's; None: not known."""

    def reading(self) -> float:
        """A reading, which ``at`` turns into a time once GitLab's clock is known."""
        return self._uptime()

    def heed(self, headers: httpx.Headers, *, sent: float) -> None:
        """Take in an answer that has just arrived to a request sent at that reading."""
        received = self._uptime()
        self.heard = True
        told = http_date(headers.get("date", ""))
        if told is None or told.year not in _PLAUSIBLE_YEARS or _is_stored(headers):
            return
        lowest, highest = told - self._own(received), told + _TICK - self._own(sent)
        if self.ahead is None:
            self.ahead = timedelta() if lowest <= timedelta() <= highest else lowest
        self.ahead = max(self.ahead, lowest)

    def at(self, reading: float) -> datetime:
        """The time of a reading, in UTC."""
        return self._own(reading) + (self.ahead or timedelta())

    def now(self) -> datetime:
        """The present time, in UTC; before the first answer this machine's."""
        return self.at(self._uptime())

    def hand_on(self) -> GitLabTime | None:
        """For another process of this machine; None: GitLab's time or the machine's boot is not known."""
        boot = _boot()
        reading = self._uptime()
        return GitLabTime(self.at(reading), reading, boot) if self.heard and boot else None

    def take(self, told: GitLabTime) -> None:
        """What another process handed on, unless this one has heard GitLab or is on another machine."""
        if not self.heard and told.boot == _boot():
            self.heard = True
            self.ahead = told.at - self._own(told.uptime)

    def present(self) -> datetime | None:
        """GitLab's present time, as far as it is known; None before the first answer."""
        return self.now() if self.heard else None

    def _own(self, reading: float) -> datetime:
        return self._started + timedelta(seconds=reading - self._started_at)


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def http_date(text: str) -> datetime | None:
    """The time that a ``Date`` or ``Retry-After`` names, in UTC; None if it names none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _is_stored(headers: httpx.Headers) -> bool:
    """Whether the answer comes from a cache: its ``Date`` is then the time when the cache received it."""
    return str(headers.get("age", "0")).strip() != "0"
