"""Async work called from Dagster's functions, which are not."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from anyio.from_thread import start_blocking_portal

T = TypeVar("T")


def run_async(work: Callable[[], Awaitable[T]]) -> T:
    """Run a stage on an event loop of its own thread, and cancel it when this thread is interrupted.

    Dagster interrupts by raising in the main thread's signal handler. Inside an event loop that exception could
    land in any callback, where asyncio swallows it; here it always lands in the wait below.
    """
    with start_blocking_portal() as portal:
        future = portal.start_task_soon(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise
