"""Runs seeds: one, many, several processes of them; and makes a failing schedule shorter."""

import asyncio
import gc
import logging
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from surgical_pipeline_tests.postgres_server import PostgresServer
from surgical_pipeline_tests.simulation.checks import BrokenError
from surgical_pipeline_tests.simulation.duckdb_ledger import DuckDBDatabase
from surgical_pipeline_tests.simulation.inline import inline_threads
from surgical_pipeline_tests.simulation.ledger import Database
from surgical_pipeline_tests.simulation.loop import StuckError, VirtualLoop
from surgical_pipeline_tests.simulation.postgres_ledger import PostgresDatabase
from surgical_pipeline_tests.simulation.processes import Killed
from surgical_pipeline_tests.simulation.rest import (
    check_at_rest,
    check_backfills,
    come_to_rest,
    resume_backfills,
    sweep,
)
from surgical_pipeline_tests.simulation.schedule import schedule_of, surroundings_of
from surgical_pipeline_tests.simulation.simulation import Simulation
from surgical_pipeline_tests.simulation.steps import Step
from surgical_pipeline_tests.simulation.trace import Trace

_RAM_DISK = Path("/dev/shm")  # noqa: S108  a folder of our own is made in it


@dataclass(frozen=True)
class Result:
    """``failure``: what did not hold; None: all did. ``runs``: how many Dagster made. ``hours``: simulated."""

    seed: int
    steps: tuple[Step, ...]
    failure: str | None
    lines: tuple[str, ...]
    fingerprint: str
    runs: int
    hours: float


@contextmanager
def a_database(server: PostgresServer | None = None) -> Iterator[Database]:
    """For ledgers in DuckDB files, or on a server. What it changes of the process is as it was afterwards.

    Its files are in memory, where the system has a disk there.
    """
    place = str(_RAM_DISK) if _RAM_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="surgical-simulation-", dir=place) as folder, _a_quiet_process():
        database = DuckDBDatabase(Path(folder)) if server is None else PostgresDatabase(server, Path(folder))
        try:
            yield database
        finally:
            database.close()


@contextmanager
def _a_quiet_process() -> Iterator[None]:
    """Thousands of failures are wanted here: their lines are not. What was imported is not collected again."""
    ours = logging.getLogger("surgical_pipeline")
    level = ours.level
    ours.setLevel(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        ours.setLevel(level)


def run_seed(
    database: Database,
    seed: int,
    steps: Sequence[Step] | None = None,
    *,
    on_line: Callable[[str], None] | None = None,
) -> Result:
    """The whole simulation of a seed, or of other steps in its surroundings."""
    chosen = tuple(schedule_of(seed) if steps is None else steps)
    loop = VirtualLoop()
    trace = Trace(loop.time, on_line)
    with database.ledger(f"seed-{seed}") as file, inline_threads():
        folder = Path(tempfile.mkdtemp(dir=database.folder))
        simulation = Simulation(seed, surroundings_of(seed), file, folder, loop, trace)
        loop.set_exception_handler(lambda _, context: _defect(simulation, context))
        try:
            failure = _failure_of(simulation, chosen)
        finally:
            _end(simulation)
            shutil.rmtree(folder)
    return Result(
        seed,
        chosen,
        failure,
        tuple(trace.lines),
        trace.fingerprint,
        len(simulation.storage.runs),
        loop.time() / 3600,
    )


def run_seeds(seeds: Iterable[int], server: PostgresServer | None = None) -> list[Result]:
    """Each in turn, in a process of their own; without their lines, which are long."""
    with a_database(server) as database:
        return [replace(run_seed(database, seed), lines=()) for seed in seeds]


def _failure_of(simulation: Simulation, steps: Sequence[Step]) -> str | None:
    loop = simulation.loop

    async def until_rest() -> None:
        simulation.begin()
        await simulation.go_through(steps)
        await come_to_rest(simulation)

    try:
        loop.run_until_complete(until_rest())
        check_at_rest(simulation, swept="no")
        check_backfills(simulation, resumed=False)
        loop.run_until_complete(resume_backfills(simulation))
        check_backfills(simulation, resumed=True)
        loop.run_until_complete(sweep(simulation, deep=False))
        check_at_rest(simulation, swept="once")
        loop.run_until_complete(sweep(simulation, deep=True))
        check_at_rest(simulation, swept="deeply")
    except (BrokenError, StuckError) as error:
        return str(error)
    return None


def _defect(simulation: Simulation, context: dict[str, Any]) -> None:
    """An error that nobody expected, in whatever process."""
    error = context.get("exception")
    if isinstance(error, Killed | asyncio.CancelledError) or simulation.checks.broken:
        return
    told = "".join(traceback.format_exception(error)) if error else str(context.get("message"))
    simulation.checks.broken = f"a defect: {told}"


def _end(simulation: Simulation) -> None:
    loop = simulation.loop
    simulation.end()
    while left := asyncio.all_tasks(loop):
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def shrunk(result: Result, run: Callable[[Sequence[Step]], Result]) -> Result:
    """The shortest schedule found that still fails: steps are dropped as long as it does."""
    best, size = result, max(1, len(result.steps) // 2)
    while size:
        at = 0
        while at < len(best.steps):
            shorter = best.steps[:at] + best.steps[at + size :]
            tried = run(shorter)
            if tried.failure is None:
                at += size
            else:
                best = tried
        size //= 2
    return best
