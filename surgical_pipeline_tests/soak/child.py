"""A syncing process for the harnesses, forked from a server that has imported everything: it starts at once."""

import logging
import multiprocessing
import os
from collections.abc import Mapping
from datetime import timedelta
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from surgical_pipeline.defs.dagster_home import opened_instance
from surgical_pipeline.defs.launch import launch
from surgical_pipeline.defs.pruning.both_sides import prune
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.pruning import PruneWish
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.settings import Settings

NOT_SUCCEEDED = 3
WINDOW_LOG = "surgical_pipeline.ledger.duckdb.windows"


def context() -> ForkServerContext:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])
    return server


def start(server: ForkServerContext, home: Path, environment: Mapping[str, str], scope: str) -> ForkServerProcess:
    """A process of its own that syncs once; its exit code is 0 where all is up to date."""
    process = server.Process(target=sync_once, args=(home, dict(environment), scope))
    process.start()
    return process


def start_watched(
    server: ForkServerContext, home: Path, environment: Mapping[str, str], scope: str
) -> ForkServerProcess:
    """The same; it keeps what it fetched, and writes down how long each of its windows waited."""
    process = server.Process(target=_sync_watched, args=(home, dict(environment), scope))
    process.start()
    return process


def sync_once(home: Path, environment: Mapping[str, str], scope: str) -> None:
    os.environ |= environment
    os.chdir(home)
    ledger = DuckDBLedger(home / "ledger.duckdb")
    run_id = launch(Scope.parse(scope), budgets=Budgets(), dependents=CORE_DEPENDENTS, ledger=ledger)
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    raise SystemExit(0 if result and result.completion_status == "succeeded" else NOT_SUCCEEDED)


def start_prune(server: ForkServerContext, home: Path, environment: Mapping[str, str]) -> ForkServerProcess:
    """A process of its own that deletes what is older than 30 days."""
    process = server.Process(target=_prune_once, args=(home, dict(environment)))
    process.start()
    return process


def _prune_once(home: Path, environment: Mapping[str, str]) -> None:
    os.environ |= environment
    os.chdir(home)
    with opened_instance() as instance:
        prune(instance, Settings.from_environment(), PruneWish(before=utc_now() - timedelta(days=30)))


def _sync_watched(home: Path, environment: Mapping[str, str], scope: str) -> None:
    setattr(SnapshotFile, "delete", lambda _self: None)  # noqa: B010  a harness keeps what was fetched
    (home / "waits").mkdir(exist_ok=True)
    handler = _WaitLog(home / "waits" / f"{os.getpid()}.txt")
    logger = logging.getLogger(WINDOW_LOG)
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    sync_once(home, environment, scope)


class _WaitLog(logging.Handler):
    """One line for each window: the milliseconds that it waited for the lock."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.args, tuple) and len(record.args) == 3:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{record.args[1]}\n")
