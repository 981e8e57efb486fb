"""Running several coroutines of a stage at once."""

import asyncio
from collections.abc import Coroutine, Iterable


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
