"""An event loop whose time is virtual: as soon as nothing is ready, it is the time of the next timer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_ROUNDS_AT_ONE_TIME = 100_000


class StuckError(RuntimeError):
    """Nothing will ever happen any more, or time stands still because callbacks never end."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs callbacks in the order in which they became ready, and never waits. Executors run inline."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._rounds = 0
        self._selector = self  # what asyncio asks for events of sockets, of which there are none
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def select(self, timeout: float | None) -> list[object]:
        """Called by asyncio when it would wait: pass the time instead."""
        if timeout is None:
            raise StuckError("everything waits for something that will not happen")
        if timeout > 0:
            self._now += timeout
            self._rounds = 0
        self._rounds += 1
        if self._rounds > _ROUNDS_AT_ONE_TIME:
            raise StuckError(f"time stands still at {self._now:.3f} s")
        return []

    def run_in_executor(
        self, _executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        return self._inline(func, *args)

    def _inline(self, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  it belongs to who awaits the future
            done.set_exception(error)
        return done

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        """Nobody else could wake the loop."""
