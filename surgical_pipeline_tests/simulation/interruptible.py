"""Synchronous code that can be interrupted, as by another process's turn or by a kill, where it says so.

A window of the ledger is a `with` block of plain functions: the mirror, the sensors, the recorder. Run as a
greenlet, such code can wait for something of the event loop in its middle, and everybody else goes on meanwhile.
"""

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

T = TypeVar("T")


class _SyncCode(greenlet):  # type: ignore[misc]
    """Code of `run_interruptible`; its parent is the event loop's own greenlet."""


async def run_interruptible(call: Callable[[], T]) -> T:
    """The result of synchronous code in which `wait_for` may be used."""
    code = _SyncCode(call, getcurrent())
    code.gr_context = contextvars.copy_context()
    wanted: Any = code.switch()
    while not code.dead:
        try:
            value = await wanted
        except BaseException as error:  # noqa: BLE001  what the waiting raises is raised where it waits
            wanted = code.throw(error)
        else:
            wanted = code.switch(value)
    return cast("T", wanted)


def can_wait() -> bool:
    """Whether `wait_for` may be used here."""
    return isinstance(getcurrent(), _SyncCode)


def wait_for(something: Awaitable[T]) -> T:
    """Wait for it within code of `run_interruptible`."""
    code = getcurrent()
    if not isinstance(code, _SyncCode) or code.parent is None:
        raise RuntimeError("only code of run_interruptible can wait for something")
    return cast("T", code.parent.switch(something))
