"""Statements that wait for a lock on the server, while everybody else in the simulation goes on.

All simulated processes share one thread, so a statement that really waited would wait forever. Here it stays on
the server, where PostgreSQL itself decides who gets a lock next, which rows are looked at again, and what is a
deadlock; its process goes on once there is an answer. Nobody else does anything before each waiting statement has
either its answer or another wait, and no two of them run at once: nothing depends on how fast the server is.
"""

import asyncio
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

import psycopg
from psycopg import errors
from psycopg.abc import Params, PQGen, QueryNoTemplate
from psycopg.waiting import WAIT_R, WAIT_W, Ready

from surgical_pipeline_tests.simulation.interruptible import can_wait

T = TypeVar("T")
_SOON, _SURELY, _OFTEN = 0.002, 0.006, 0.0003
"""Real seconds: most statements are done; a deadlock would have been found; between two looks at the server."""
_LONG, _STUCK_SECONDS = 1.0, 30.0
DEADLOCK_MS = 1
"""After so long a wait the server looks for deadlocks. A second is usual, and real."""

_BLOCKED = "SELECT pid FROM pg_locks WHERE pid = ANY(%s) AND NOT granted"
_THERE = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s)"


class OpenWindow:
    """What a window that writes is asked for while a statement of it is under way. Reads wait for nobody."""

    def before(self, statement: QueryNoTemplate) -> None:
        """Called before each statement."""
        raise NotImplementedError

    def until(self, answered: "asyncio.Future[None]") -> bool:
        """Let others go on until this is done; False: that takes too long."""
        raise NotImplementedError

    def collided(self, error: psycopg.Error) -> None:
        """Called if it waits in a circle with others, or wrote what another had written just before."""
        raise NotImplementedError


class Waiters:
    """The statements of one database that wait, by the number of their server process. ``ask``: as an onlooker.

    While a statement waits, its server process is stopped. When several may go on at once, they do so one by one.
    """

    def __init__(self, ask: Callable[..., list[tuple[Any, ...]]]) -> None:
        self._ask = ask
        self._waiting: dict[int, tuple[int, asyncio.Future[None]]] = {}
        self._left: list[int] = []
        """Those of processes that were killed: their statements wait on, hold their locks, and end unheard."""

    def is_blocked(self, pid: int) -> bool:
        return pid in self._which(_BLOCKED, [pid])

    def add(self, pid: int, socket: int) -> "asyncio.Future[None]":
        answered = asyncio.get_running_loop().create_future()
        self._waiting[pid] = socket, answered
        os.kill(pid, signal.SIGSTOP)
        return answered

    def remove(self, pid: int, *, died: bool) -> None:
        del self._waiting[pid]
        if died:
            self._left.append(pid)
        else:
            os.kill(pid, signal.SIGCONT)

    def cancel(self, pid: int) -> None:
        self._ask("SELECT pg_cancel_backend(%s)", (pid,))

    def thaw(self) -> None:
        """Let all of them run."""
        for pid in (*self._waiting, *self._left):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def settle(self) -> None:
        """Whoever waits has an answer, or still waits. Called after whatever may have ended a wait."""
        while free := self._free():
            self._go_on(free)
        for socket, future in self._waiting.values():
            if _ready(socket, WAIT_R, 0) and not future.done():
                future.set_result(None)

    def _free(self) -> int | None:
        """The one that began to wait first, of those that need not wait any more and have not gone on."""
        self._left = [pid for pid in self._left if pid in self._which(_THERE, self._left)]
        waiting = [pid for pid, (socket, _) in self._waiting.items() if not _ready(socket, WAIT_R, 0)]
        blocked = self._which(_BLOCKED, [*waiting, *self._left])
        return next((pid for pid in (*waiting, *self._left) if pid not in blocked), None)

    def _go_on(self, pid: int) -> None:
        """Until it has its answer, or waits for another lock."""
        deadline = time.monotonic() + _STUCK_SECONDS
        os.kill(pid, signal.SIGCONT)
        while not self._is_over(pid):
            if self.is_blocked(pid) and not self._is_over(pid, seconds=_SURELY) and self.is_blocked(pid):
                os.kill(pid, signal.SIGSTOP)
                return
            if time.monotonic() > deadline:
                raise AssertionError("the server neither answers nor waits")

    def _is_over(self, pid: int, *, seconds: float = _OFTEN) -> bool:
        if pid in self._waiting:
            return bool(_ready(self._waiting[pid][0], WAIT_R, seconds))
        time.sleep(seconds)
        return not self._which(_THERE, [pid])

    def _which(self, of_which: str, pids: list[int]) -> set[int]:
        return {pid for (pid,) in self._ask(of_which, (pids,))} if pids else set()


class WaitingConnection(psycopg.Connection[Any]):
    """``window``: that which uses it now, if it writes."""

    waiters: Waiters | None = None
    window: OpenWindow | None = None
    _timed_out = False

    def execute(
        self, query: Any, params: Params | None = None, *, prepare: bool | None = None, binary: bool = False
    ) -> psycopg.Cursor[Any]:
        if self.window is not None:
            self.window.before(query)
        try:
            return super().execute(query, params, prepare=prepare, binary=binary)
        except errors.QueryCanceled as error:
            if not self._timed_out:
                raise
            raise errors.LockNotAvailable("canceling statement due to lock timeout") from error
        except (errors.DeadlockDetected, errors.UniqueViolation) as error:
            if self.window is not None:
                self.window.collided(error)
            raise
        finally:
            self._timed_out = False
            if self.waiters is not None and (self.window is not None or self.closed):
                self.waiters.settle()

    def wait(self, gen: PQGen[T], interval: float = 0.0, timeout: float | None = None) -> T:
        """As psycopg's own, which cannot let others go on."""
        del interval, timeout
        socket = self.pgconn.socket
        try:
            wanted, began = next(gen), time.monotonic()
            while True:
                ready = _ready(socket, wanted, _SOON)
                if not ready and self.waiters is not None and time.monotonic() > began + _LONG:
                    self.waiters.thaw()  # one was stopped at a moment when it kept everybody from looking at locks
                if not ready and self.window is not None and self.waiters is not None:
                    ready = self._wait_for_lock(self.window, self.waiters, wanted)
                if ready:
                    wanted = gen.send(cast("Ready", ready))
        except StopIteration as ended:
            return cast("T", ended.value)

    def _wait_for_lock(self, window: OpenWindow, waiters: Waiters, wanted: int) -> int:
        pid, socket = self.info.backend_pid, self.pgconn.socket
        if self._timed_out or not waiters.is_blocked(pid):
            return 0
        if ready := _ready(socket, wanted, _SURELY):
            return ready
        if not can_wait():
            raise AssertionError("a statement waits for a lock where nobody else can go on")
        answered, died = waiters.add(pid, socket), True
        try:
            in_time, died = window.until(answered), False
        finally:
            waiters.remove(pid, died=died)
            if died:
                self.pgconn.finish()
        if not in_time and not _ready(socket, wanted, 0):
            self._timed_out = True
            waiters.cancel(pid)
        return _ready(socket, wanted, _STUCK_SECONDS)


def _ready(socket: int, wanted: int, seconds: float) -> int:
    """What of it the socket is ready for; 0: for nothing in this time."""
    reading, writing, _ = select.select(
        [socket] if wanted & WAIT_R else [], [socket] if wanted & WAIT_W else [], [], seconds
    )
    return (WAIT_R if reading else 0) | (WAIT_W if writing else 0)
