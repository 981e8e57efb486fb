"""Simulated machines with clocks of their own, and processes on them that can be killed at any moment."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline_tests.simulation.trace import Trace

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
"""When each simulation begins, by the true time, which is GitLab's."""


class Killed(BaseException):
    """Raised in whatever a killed process would still do: nothing of it happens any more."""


@dataclass
class Machine:
    """``ahead``: of the true time. ``drift``: seconds that its clocks gain per second."""

    name: str
    time: Callable[[], float]
    ahead: timedelta = timedelta()
    drift: float = 0.0

    def wall(self) -> datetime:
        return NOON + self.ahead + timedelta(seconds=self.uptime())

    def uptime(self) -> float:
        return self.time() * (1 + self.drift)


@dataclass
class Process:
    """One process. Whatever it does to the world asks here first, so that a dead one does nothing.

    ``dies_in``: so many of its points are left until it is killed; None: it lives on. ``slow``: the share of its
    pauses that take seconds instead of milliseconds.
    """

    name: str
    machine: Machine
    pid: int
    trace: Trace
    random: Random
    slow: float = 0.02
    alive: bool = True
    stalls: tuple[int, float] | None = None
    """In how many of its pauses it stands still, and for how many seconds."""
    dies_in: int | None = None
    on_death: list[Callable[[], None]] = field(default_factory=list)
    _tasks: list["asyncio.Task[Any]"] = field(default_factory=list)

    @property
    def identity(self) -> ProcessIdentity:
        return ProcessIdentity(self.machine.name, self.pid, f"boot/ns/{self.pid}")

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Do something beside everything else, until it is done or the process dies."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._ended)
        return task

    def point(self, what: str) -> None:
        """A moment between two steps, at which the process may be killed."""
        self.must_live()
        self.trace.add(self.name, what)
        if self.dies_in is not None:
            self.dies_in -= 1
            if self.dies_in < 0:
                self.kill()
                raise Killed

    def must_live(self) -> None:
        if not self.alive:
            raise Killed

    async def pause(self, what: str) -> None:
        """Such a moment, after which others may have had their turn."""
        self.point(what)
        await self.rest()

    async def rest(self) -> None:
        """Let others have their turn."""
        await asyncio.sleep(self._pause_seconds())
        self.must_live()
        if self.stalls is not None:
            await self._stand_still(*self.stalls)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.must_live()

    async def _stand_still(self, points: int, seconds: float) -> None:
        if points:
            self.stalls = (points - 1, seconds)
            return
        self.trace.add(self.name, f"stands still for {seconds} s")
        until = self.machine.time() + seconds
        self.stalls = (0, seconds)  # whatever else it does stands still, too
        await self.sleep(max(0.0, until - self.machine.time()))
        self.stalls = None

    def kill(self) -> None:
        """As SIGKILL: from now on it does nothing."""
        if not self.alive:
            return
        self.alive = False
        self.trace.add(self.name, "is dead")
        for task in list(self._tasks):
            task.cancel()
        for call in self.on_death:
            call()

    def exit(self) -> None:
        """It has done its work."""
        self.alive = False
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()

    def _pause_seconds(self) -> float:
        if self.random.random() < self.slow:
            return self.random.uniform(0.5, 20)
        return self.random.uniform(0.001, 0.05)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.remove(task)
        if not task.cancelled() and (error := task.exception()) is not None and self.alive:
            asyncio.get_running_loop().call_exception_handler({"message": "a process failed", "exception": error})
