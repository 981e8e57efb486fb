"""Async work called from Dagster's functions, which are not."""

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def run_async(work: Callable[[], Awaitable[T]]) -> T:
    """Run a stage on an event loop of its own thread, and cancel it when this thread is interrupted.

    Dagster interrupts by raising in the main thread's signal handler. Inside an event loop that exception could
    land in any callback, where asyncio swallows it; here it lands in the wait below or beside it. anyio's blocking
    portal does the same, and waits for ever if the exception lands while its event loop starts.
    """
    call = _Call(work)
    try:
        threading.Thread(target=call.run, name="event-loop", daemon=True).start()
        call.wait()
    except BaseException:
        call.call_off()
        raise
    return call.result()


class _Call(Generic[T]):
    """``work``, which one thread runs and another waits for and may call off, before it begins, too."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._context = contextvars.copy_context()
        self._result: Future[T] = Future()
        self._guard = threading.Lock()
        self._called_off = False
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        # Free once there is a result. Waiting for a lock is one step: an interrupt lands before or after it, while
        # inside `Future.result` it can land where its lock is not restored.
        self._over = threading.Lock()
        self._over.acquire()

    def run(self) -> None:
        try:
            self._result.set_result(self._context.run(asyncio.run, self._main()))
        except BaseException as error:  # noqa: BLE001  whoever waits gets it
            self._result.set_exception(error)
        finally:
            self._over.release()

    async def _main(self) -> T:
        with self._guard:
            task = asyncio.current_task()
            if self._called_off or task is None:
                raise asyncio.CancelledError
            self._running = task.get_loop(), task
        return await self._work()

    def wait(self) -> None:
        """Until it is over. An interrupted wait can be taken up again, wherever it was."""
        if not self._result.done():
            self._over.acquire()

    def call_off(self) -> None:
        """Cancel it and wait until it is over; it never begins if it has not yet."""
        with self._guard:
            self._called_off = True
        if self._running is None:
            return
        loop, task = self._running
        with suppress(RuntimeError):  # the loop is closed: it is over
            loop.call_soon_threadsafe(task.cancel)
        self.wait()

    def result(self) -> T:
        return self._result.result()
