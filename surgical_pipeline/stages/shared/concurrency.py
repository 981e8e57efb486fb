"""Running several coroutines of a stage at once."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


async def run_all(coroutines: Iterable[Coroutine[object, object, None]]) -> None:
    """Run all; the first that fails cancels the others, and its own exception is raised, not a group of it.

    Callers above decide by exception type how a run ends, so the type must survive.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed


async def run_each(jobs: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_once: int) -> None:
    """Run ``work`` on every job, so many at once; errors as in ``run_all``. Jobs are taken singly, in order."""
    waiting = iter(jobs)

    async def work_off(waiting: Iterator[T]) -> None:
        for job in waiting:
            await work(job)

    await run_all(work_off(waiting) for _ in range(at_once))
