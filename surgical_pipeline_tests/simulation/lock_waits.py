"""Statements that wait for a lock on the server, while everybody else in the simulation goes on.

All simulated processes share one thread, so a statement that really waited would wait forever. Here it stays on the
server, where PostgreSQL itself decides who gets a lock next, which rows are looked at again, and what is a deadlock;
its process goes on once there is an answer. Nobody else does anything before each waiting statement has either its
answer or another wait: who goes on in which order does not depend on how fast the server is.
"""

import asyncio
import select
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import psycopg
from psycopg import errors
from psycopg.abc import Params, PQGen, QueryNoTemplate
from psycopg.waiting import WAIT_R, WAIT_W, Ready

from surgical_pipeline_tests.simulation.interruptible import can_wait

T = TypeVar("T")
_SOON, _SURELY, _OFTEN = 0.002, 0.006, 0.0003
"""Real seconds: most statements are done; a deadlock would have been found; between two looks at the server."""
_STUCK_SECONDS = 30.0
DEADLOCK_MS = 1
"""After so long a wait the server looks for deadlocks. A second is usual, and real."""

_BLOCKED = "SELECT pid FROM pg_locks WHERE pid = ANY(%s) AND NOT granted"
_THERE = "SELECT pid FROM pg_stat_activity WHERE pid = ANY(%s)"


class OpenWindow:
    """What a window that writes is asked for while a statement of it is under way. Reads wait for nobody."""

    timeout_seconds: float

    def before(self, statement: QueryNoTemplate) -> None:
        """Called before each statement."""
        raise NotImplementedError

    def until(self, answered: "asyncio.Future[None]") -> bool:
        """Let others go on until this is done; False: that takes too long."""
        raise NotImplementedError


class Waiters:
    """The statements of one database that wait, by the number of their server process. ``ask``: as an onlooker."""

    def __init__(self, ask: Callable[..., list[tuple[Any, ...]]]) -> None:
        self._ask = ask
        self._waiting: dict[int, tuple[int, asyncio.Future[None]]] = {}
        self._left: set[int] = set()
        """Those of processes that were killed: their statements wait on, hold their locks, and end unheard."""

    def is_blocked(self, pid: int) -> bool:
        return pid in self._which(_BLOCKED, [pid])

    def cancel(self, pid: int) -> None:
        self._ask("SELECT pg_cancel_backend(%s)", (pid,))

    def add(self, pid: int, socket: int) -> "asyncio.Future[None]":
        answered = asyncio.get_running_loop().create_future()
        self._waiting[pid] = socket, answered
        return answered

    def remove(self, pid: int, *, died: bool) -> None:
        del self._waiting[pid]
        if died:
            self._left.add(pid)

    def settle(self) -> None:
        """Whoever waits has an answer, or still waits."""
        deadline = time.monotonic() + _STUCK_SECONDS
        while self._waiting or self._left:
            sockets = {socket: pid for pid, (socket, _) in self._waiting.items()}
            blocked = self._which(_BLOCKED, [*self._waiting, *self._left])
            answered = {sockets[socket] for socket in select.select(list(sockets), (), (), 0)[0]}
            self._left &= self._which(_THERE, list(self._left))
            if self._waiting.keys() <= blocked | answered and self._left <= blocked:
                self._tell(answered)
                return
            if time.monotonic() > deadline:
                raise AssertionError("the server neither answers nor waits")
            time.sleep(_OFTEN)

    def _which(self, of_which: str, pids: list[int]) -> set[int]:
        return {pid for (pid,) in self._ask(of_which, (pids,))} if pids else set()

    def _tell(self, answered: set[int]) -> None:
        """In the order in which they began to wait."""
        for pid, (_, future) in self._waiting.items():
            if pid in answered and not future.done():
                future.set_result(None)


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
        finally:
            self._timed_out = False
            if self.waiters is not None and (self.window is not None or self.closed):
                self.waiters.settle()

    def wait(self, gen: PQGen[T], interval: float = 0.0, timeout: float | None = None) -> T:
        """As psycopg's own, which cannot let others go on."""
        del interval, timeout
        socket = self.pgconn.socket
        try:
            wanted = next(gen)
            while True:
                ready = _ready(socket, wanted, _SOON)
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
        if not in_time:
            self._timed_out = True
            waiters.cancel(pid)
        return _ready(socket, wanted, _STUCK_SECONDS)


def _ready(socket: int, wanted: int, seconds: float) -> int:
    """What of it the socket is ready for; 0: for nothing in this time."""
    reading, writing, _ = select.select(
        [socket] if wanted & WAIT_R else [], [socket] if wanted & WAIT_W else [], [], seconds
    )
    return (WAIT_R if reading else 0) | (WAIT_W if writing else 0)
