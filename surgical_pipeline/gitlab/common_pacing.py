"""The pacing of one token for all machines: a value that all of them reach, such as a row of a database.

Processes of one machine go on sharing a store of their own, which holds what was last heard of the common value.
With plenty of requests left that is all a request needs, and a look at the common value twice a second. Where
requests are spread, each reserves its place in the common value; wishes that come while one is under way go
together. Whoever cannot reach it goes on alone, more slowly, and later joins in what it learned meanwhile.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import anyio

from surgical_pipeline.domain.budgets import MonotonicClock
from surgical_pipeline.gitlab.pacing import (
    LATEST_SECONDS,
    MAX_PACE_SECONDS,
    CommonTimes,
    Pacing,
    PacingStore,
    Priority,
    Times,
)

LOOK_SECONDS = 0.5
"""For so long a pause that another machine was told may go unnoticed."""

RETRY_SECONDS = 2.0
PATIENCE_SECONDS = 1.0
"""Longest wait for a place; then the process goes on alone."""

IDLE_SECONDS = 10.0
"""Without a request for so long, the thread ends and its connection is closed."""

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Wish:
    """``place``: who waits for what the change returns; None: nobody."""

    change: Callable[[Pacing], tuple[Pacing, Any]]
    place: "Future[float] | None" = None

    @property
    def called_off(self) -> bool:
        return self.place is not None and not self.place.set_running_or_notify_cancel()


class CommonPacing:
    """`PacingStore` of several machines. ``own``: that of this machine. ``clock``: the one that ``own`` is by.

    The event loop never waits for the common value: a thread asks it.
    """

    def __init__(self, own: PacingStore, common: CommonTimes, *, key: str, clock: MonotonicClock) -> None:
        self._own = own
        self._common = common
        self._key = key
        self._clock = clock
        self._guard = threading.Condition()
        self._wishes: list[_Wish] = []
        self._look_wanted = False
        self._thread: threading.Thread | None = None
        self.together: bool | None = None
        """Whether the common value could be reached; None: it was not tried yet."""
        self._tried_at = float("-inf")
        self._warned = False

    def read(self) -> Pacing:
        """What this machine knows."""
        every = RETRY_SECONDS if self.together is False else LOOK_SECONDS
        if self._clock() - self._tried_at > every:
            self._send(None)
        return self._own.read()

    def update(self, change: Callable[[Pacing], tuple[Pacing, T]]) -> T:
        """At once for this machine, and soon for the others."""
        result = self._own.update(change)
        if self.together is not False:
            self._send(_Wish(change))
        return result

    async def reserve(self, priority: Priority, clock: MonotonicClock) -> float:
        known, now = self.read(), clock()
        if self.together and not known.spreads(now):
            return max(now, known.paused_until)
        if self.together is not False:
            place: Future[float] = Future()
            self._send(_Wish(lambda pacing: pacing.reserved(clock(), priority), place))
            try:
                with anyio.fail_after(PATIENCE_SECONDS):
                    return await asyncio.wrap_future(place)
            except OSError as error:  # also the TimeoutError of impatience
                self._go_on_alone(error)
        return self._own.update(lambda pacing: pacing.reserved_alone(clock(), priority))

    def _send(self, wish: _Wish | None) -> None:
        """To the thread, which is started if there is none, as after a fork; None: a look."""
        with self._guard:
            if wish is None:
                self._look_wanted = True
            else:
                self._wishes.append(wish)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="request-pacing", daemon=True)
                self._thread.start()
            self._guard.notify()

    def _serve(self) -> None:
        while True:
            with self._guard:
                if not self._guard.wait_for(lambda: self._wishes or self._look_wanted, IDLE_SECONDS):
                    self._thread = None
                    self._common.close()
                    return
                wishes, self._wishes, self._look_wanted = self._wishes, [], False
                self._tried_at = self._clock()
            self._meet([wish for wish in wishes if not wish.called_off])

    def _meet(self, wishes: Sequence[_Wish]) -> None:
        """Carry out the wishes in the common value and take over what it is then."""
        try:
            if wishes or not self.together:
                value, results = self._common.exchange(self._key, lambda *told: self._changed(wishes, *told))
            else:
                times, now = self._common.look(self._key)
                value, results = _pacing(times, now).shifted(self._clock() - now), []
        except OSError as error:
            self._go_on_alone(error)
            for wish in wishes:
                if wish.place is not None:
                    wish.place.set_exception(error)
            return
        finally:
            self._tried_at = self._clock()
        # A pause that this machine was told a moment ago may be among the next wishes.
        self._own.update(
            lambda own: (replace(value, paused_until=max(value.paused_until, own.paused_until)), None)
        )
        if self.together is False:
            _LOG.info("the rate limit is shared with other machines again")
        self.together = True
        for wish, result in zip(wishes, results, strict=True):
            if wish.place is not None:
                wish.place.set_result(result)

    def _changed(
        self, wishes: Sequence[_Wish], times: Times, now: float
    ) -> tuple[Times, tuple[Pacing, list[Any]]]:
        """By this machine's clock, whatever it says: the other one is read at the same moment."""
        ahead = self._clock() - now
        value = _pacing(times, now).shifted(ahead)
        if not self.together:
            value = value.joined(self._own.read())
        results = []
        for wish in wishes:
            value, result = wish.change(value)
            results.append(result)
        return _times(value.shifted(-ahead)), (value, results)

    def _go_on_alone(self, error: OSError) -> None:
        self.together = False
        if not self._warned:
            reason = str(error) or "it does not answer"
            _LOG.warning("the rate limit is not shared with other machines, so it is used slowly: %s", reason)
        self._warned = True


def _pacing(times: Times, now: float) -> Pacing:
    """None of it, if something else has written there."""
    paused_until, gap_seconds, spread_until, *next_starts = times
    latest = now + LATEST_SECONDS
    plausible = (
        len(next_starts) == len(Priority)
        and 0.0 <= gap_seconds <= MAX_PACE_SECONDS
        and all(0.0 <= value <= latest for value in (paused_until, spread_until, *next_starts))
    )
    return Pacing(paused_until, gap_seconds, spread_until, tuple(next_starts)) if plausible else Pacing()


def _times(pacing: Pacing) -> Times:
    return (pacing.paused_until, pacing.gap_seconds, pacing.spread_until, *pacing.next_starts)
