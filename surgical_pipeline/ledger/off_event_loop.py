"""Runs a whole window in a thread, so that the event loop continues while it waits for the lock."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_MAX_WINDOWS = 8
# A separate pool: windows that wait for the lock must not use up the threads that embedders compute in.
_threads = ThreadPoolExecutor(_MAX_WINDOWS, thread_name_prefix="ledger-window")


async def run_off_event_loop(call: Callable[[threading.Event], T]) -> T:
    """Run ``call(cancelled)`` in a thread and return its result.

    If the awaiting task is cancelled, ``cancelled`` is set, which ends a wait for the lock. A call that already
    runs is awaited, so that nothing is written after the task has ended. Then the cancellation continues.
    """
    cancelled = threading.Event()
    context = contextvars.copy_context()
    submitted = _threads.submit(lambda: context.run(call, cancelled))
    work = asyncio.wrap_future(submitted)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        cancelled.set()
        if not submitted.cancel():
            await _settled(work)
        raise


async def _settled(work: asyncio.Future[T]) -> None:
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            continue
    if not work.cancelled():
        work.exception()  # The caller gets the cancellation instead.
