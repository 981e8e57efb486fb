"""What a simulation changes of its process, and what is as it was when it is over."""

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio.to_thread

from surgical_pipeline.gitlab import changes
from surgical_pipeline_tests.simulation.dagster_storage import INSTANCE


@contextmanager
def inline_threads() -> Iterator[None]:
    """What our code does in threads, it does at once; and Dagster's instance has the simulation's name."""

    async def run_sync(func: Any, *args: Any, **_: Any) -> Any:
        await asyncio.sleep(0)
        return func(*args)

    before, named = anyio.to_thread.run_sync, os.environ.get("SURGICAL_DAGSTER_INSTANCE")
    anyio.to_thread.run_sync = run_sync  # type: ignore[assignment]
    os.environ["SURGICAL_DAGSTER_INSTANCE"] = INSTANCE
    changes._without_keyset.clear()
    state = random.getstate()
    random.seed(0)  # Dagster makes a backfill's id of it
    try:
        yield
    finally:
        random.setstate(state)
        anyio.to_thread.run_sync = before
        if named is None:
            del os.environ["SURGICAL_DAGSTER_INSTANCE"]
        else:
            os.environ["SURGICAL_DAGSTER_INSTANCE"] = named
