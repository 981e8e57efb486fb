"""One limiter for one token on one host: how many requests are in flight, and when all must wait.

GitLab counts requests by token, so all clients of this process that use the same token share a limiter, and all
processes of the machine that use one folder share when requests may begin, and so do all machines that can reach a
common value. Registry, folder and common value know a token by its hash only.
"""

import hashlib
import threading
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakKeyDictionary

import anyio

from surgical_pipeline.domain.budgets import Deadline, MonotonicClock
from surgical_pipeline.gitlab.clock import uptime
from surgical_pipeline.gitlab.common_pacing import CommonPacing
from surgical_pipeline.gitlab.errors import BudgetExceededError, RateLimitedError
from surgical_pipeline.gitlab.pacing import (
    LONGEST_PAUSE_SECONDS,
    CommonTimes,
    OwnPacing,
    Pacing,
    PacingStore,
    Priority,
)
from surgical_pipeline.gitlab.shared_pacing import SharedPacing

FEW = 1 / 8
"""Share of GitLab's limit below which the rest is spread: with less, several processes at once would exceed it."""

MAX_EMPTY_WAIT_SECONDS = 60.0
"""Longest pause because of ``RateLimit-Remaining: 0`` alone: GitLab's own windows last a minute."""


class RateLimiter:
    """Safe to use from several event loops and threads; the bound in flight holds for each event loop.

    ``pacing``: when requests may begin; ``monotonic`` is its clock. None: this limiter's own.
    """

    def __init__(
        self,
        max_in_flight: int = 16,
        *,
        monotonic: MonotonicClock = uptime,
        pacing: PacingStore | None = None,
    ) -> None:
        if max_in_flight < 1:
            raise ValueError(f"at least one request must be allowed in flight, not {max_in_flight}")
        self.max_in_flight = max_in_flight
        self._monotonic = monotonic
        self._pacing = pacing or OwnPacing()
        self._lock = threading.Lock()
        self._places: WeakKeyDictionary[AbstractEventLoop, anyio.CapacityLimiter] = WeakKeyDictionary()

    @asynccontextmanager
    async def place(
        self, deadline: Deadline, path: str, *, priority: Priority = Priority.PEOPLE
    ) -> AsyncIterator[None]:
        """Hold one of the places in flight, after any current pause, and where requests are spread in its turn.

        Raises:
            RateLimitedError: the pause outlasts the deadline; raised at once.
            BudgetExceededError: no place became free before the deadline.
        """
        self._refuse_hopeless(self._pacing.read(), deadline, path)
        places = self._places_of_this_loop()
        borrower = object()
        await _take(places, borrower, deadline, path=path)
        try:
            await self._wait_for_turn(deadline, path, priority=priority)
            yield
        finally:
            places.release_on_behalf_of(borrower)

    def pause(self, seconds: float) -> None:
        """Let no request begin for so long: GitLab answered 429."""
        until = self._monotonic() + min(seconds, LONGEST_PAUSE_SECONDS)
        self._pacing.update(lambda pacing: (pacing.paused(until), None))

    def observe(self, remaining: int, reset_in_seconds: float, *, limit: int = 0) -> None:
        """Take in what GitLab says about its window: requests left, seconds until the next one, and its size.

        With plenty left nothing changes; with few left they are spread over the rest of the window; with none
        left all wait for the next window.
        """
        now = self._monotonic()
        if remaining == 0:
            self.pause(min(reset_in_seconds, MAX_EMPTY_WAIT_SECONDS))
        elif remaining < max(2 * self.max_in_flight, limit * FEW):
            until = now + reset_in_seconds
            self._pacing.update(lambda pacing: (pacing.spread(remaining=remaining, until=until, now=now), None))
        elif self._pacing.read().gap_seconds:
            self._pacing.update(lambda pacing: (pacing.free(), None))

    def _places_of_this_loop(self) -> anyio.CapacityLimiter:
        loop = get_running_loop()
        with self._lock:
            places = self._places.get(loop)
            if places is None:
                places = self._places[loop] = anyio.CapacityLimiter(self.max_in_flight)
        if places.total_tokens != self.max_in_flight:
            places.total_tokens = self.max_in_flight
        return places

    def _refuse_hopeless(self, pacing: Pacing, deadline: Deadline, path: str) -> None:
        pause = pacing.paused_until - self._monotonic()
        if pause >= deadline.remaining > 0:
            raise RateLimitedError(
                f"GitLab asked to wait {pause:.0f} s more, the time budget has {deadline.remaining:.0f} s left",
                path=path,
                retry_after_seconds=pause,
            )

    async def _wait_for_turn(self, deadline: Deadline, path: str, *, priority: Priority) -> None:
        """Wait for the end of a pause, and for the request's place among others if they are spread."""
        while True:
            start = await self._reserve_start(priority)
            pacing, now = self._pacing.read(), self._monotonic()
            self._refuse_hopeless(pacing, deadline, path)
            if start - now >= deadline.remaining:  # spreading is optional: it never uses up a budget
                start = pacing.paused_until
            if start > now:
                await anyio.sleep(start - now)
            if self._pacing.read().paused_until <= self._monotonic():
                return

    async def _reserve_start(self, priority: Priority = Priority.PEOPLE) -> float:
        """The time at which the caller's request may begin."""
        return await self._pacing.reserve(priority, self._monotonic)


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


_registry: dict[tuple[tuple[str, str, int], str, Path | None, str | None], RateLimiter] = {}
_registry_lock = threading.Lock()


def shared_limiter(
    origin: tuple[str, str, int],
    token: str,
    *,
    max_in_flight: int,
    folder: Path | None = None,
    common: CommonTimes | None = None,
    monotonic: MonotonicClock = uptime,
) -> RateLimiter:
    """This process's limiter for the token on that origin; the bound requested last applies.

    ``folder``: processes that name the same one share when requests may begin; ``monotonic`` must then be a clock
    that all of them read. None: this process keeps to itself. ``common``: machines that reach it share the same.
    """
    place = None if common is None else common.location
    key = (origin, hashlib.sha256(token.encode()).hexdigest(), folder, place)
    with _registry_lock:
        limiter = _registry.get(key)
        if limiter is None:
            name = _name_of(origin, token)
            pacing: PacingStore = SharedPacing(folder / f".{name}.pacing", monotonic) if folder else OwnPacing()
            if common is not None:
                pacing = CommonPacing(pacing, common, key=name, clock=monotonic)
            limiter = _registry[key] = RateLimiter(max_in_flight, monotonic=monotonic, pacing=pacing)
        limiter.max_in_flight = max_in_flight
        return limiter


def _name_of(origin: tuple[str, str, int], token: str) -> str:
    """Names the token only to who has it."""
    digest = hashlib.sha256("\n".join((*map(str, origin), token)).encode()).hexdigest()
    return f"gitlab-{digest[:16]}"
