"""One limiter for one token on one host: how many requests are in flight, and when all must wait.

GitLab counts requests by token, so all clients of this process that use the same token share a limiter. The
registry knows a token by its hash only.
"""

import hashlib
import threading
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

import anyio

from surgical_pipeline.domain.budgets import Deadline, MonotonicClock
from surgical_pipeline.gitlab.errors import BudgetExceededError, RateLimitedError

MAX_PACE_SECONDS = 2.0
"""Longest wait between two requests when few are left; a refusal (429) may wait longer."""

MAX_EMPTY_WAIT_SECONDS = 60.0
"""Longest pause because of ``RateLimit-Remaining: 0`` alone: GitLab's own windows last a minute."""


class RateLimiter:
    """Safe to use from several event loops and threads; the bound in flight holds for each event loop."""

    def __init__(self, max_in_flight: int = 16, *, monotonic: MonotonicClock = time.monotonic) -> None:
        if max_in_flight < 1:
            raise ValueError(f"at least one request must be allowed in flight, not {max_in_flight}")
        self.max_in_flight = max_in_flight
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._places: WeakKeyDictionary[AbstractEventLoop, anyio.CapacityLimiter] = WeakKeyDictionary()
        self._paused_until = 0.0
        self._pace_seconds = 0.0
        self._pace_until = 0.0
        self._next_start = 0.0

    @asynccontextmanager
    async def place(self, deadline: Deadline, path: str) -> AsyncIterator[None]:
        """Hold one of the places in flight, after any current pause.

        Raises:
            RateLimitedError: the pause outlasts the deadline; raised at once.
            BudgetExceededError: no place became free before the deadline.
        """
        self._refuse_hopeless(deadline, path)
        places = self._places_of_this_loop()
        borrower = object()
        await _take(places, borrower, deadline, path=path)
        try:
            await self._wait_for_turn(deadline, path)
            yield
        finally:
            places.release_on_behalf_of(borrower)

    def pause(self, seconds: float) -> None:
        """Let no request begin for so long: GitLab answered 429."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def observe(self, remaining: int, reset_in_seconds: float) -> None:
        """Take in what GitLab says about its window: requests left, and seconds until the next one.

        With plenty left nothing changes; with few left they are spread over the rest of the window; with none
        left all wait for the next window.
        """
        if remaining == 0:
            self.pause(min(reset_in_seconds, MAX_EMPTY_WAIT_SECONDS))
            return
        with self._lock:
            few = remaining < 2 * self.max_in_flight
            self._pace_seconds = min(MAX_PACE_SECONDS, reset_in_seconds / remaining) if few else 0.0
            self._pace_until = self._monotonic() + reset_in_seconds

    def _places_of_this_loop(self) -> anyio.CapacityLimiter:
        loop = get_running_loop()
        with self._lock:
            places = self._places.get(loop)
            if places is None:
                places = self._places[loop] = anyio.CapacityLimiter(self.max_in_flight)
        if places.total_tokens != self.max_in_flight:
            places.total_tokens = self.max_in_flight
        return places

    def _refuse_hopeless(self, deadline: Deadline, path: str) -> None:
        pause = self._paused_until - self._monotonic()
        if pause >= deadline.remaining > 0:
            raise RateLimitedError(
                f"GitLab asked to wait {pause:.0f} s more, the time budget has {deadline.remaining:.0f} s left",
                path=path,
                retry_after_seconds=pause,
            )

    async def _wait_for_turn(self, deadline: Deadline, path: str) -> None:
        while (pause := self._paused_until - self._monotonic()) > 0:
            self._refuse_hopeless(deadline, path)
            await anyio.sleep(pause)
        pace = self._reserve_start()
        if 0 < pace < deadline.remaining:  # pacing is optional: it never uses up a budget
            await anyio.sleep(pace)

    def _reserve_start(self) -> float:
        """Seconds to wait before starting, if requests are being spread."""
        with self._lock:
            now = self._monotonic()
            if not self._pace_seconds or now >= self._pace_until:
                return 0.0
            start = max(now, self._next_start)
            self._next_start = start + self._pace_seconds
            return start - now


async def _take(places: anyio.CapacityLimiter, borrower: object, deadline: Deadline, *, path: str) -> None:
    try:
        places.acquire_on_behalf_of_nowait(borrower)  # nearly always: no more requests start than there are places
    except anyio.WouldBlock:
        with anyio.move_on_after(deadline.remaining) as waiting:
            await places.acquire_on_behalf_of(borrower)
        if waiting.cancelled_caught:
            raise BudgetExceededError(
                "the time budget ran out while other requests were in flight", path=path
            ) from None


_registry: dict[tuple[tuple[str, str, int], str], RateLimiter] = {}
_registry_lock = threading.Lock()


def shared_limiter(
    origin: tuple[str, str, int], token: str, *, max_in_flight: int, monotonic: MonotonicClock = time.monotonic
) -> RateLimiter:
    """This process's limiter for the token on that origin; the bound requested last applies."""
    key = (origin, hashlib.sha256(token.encode()).hexdigest())
    with _registry_lock:
        limiter = _registry.get(key)
        if limiter is None:
            limiter = _registry[key] = RateLimiter(max_in_flight, monotonic=monotonic)
        limiter.max_in_flight = max_in_flight
        return limiter
