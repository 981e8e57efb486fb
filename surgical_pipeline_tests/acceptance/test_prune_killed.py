"""kill -9 of a prune at twenty moments: no run is left half, and the next prune finishes what was begun."""

import fcntl
import os
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from surgical_pipeline.defs.dagster_home import PRUNE_LOCK_NAME
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.ledger_dump import content_of
from surgical_pipeline_tests.ledger_gate import held
from surgical_pipeline_tests.soak.child import context, start_prune
from surgical_pipeline_tests.years import Years, make_years

pytestmark = pytest.mark.processes

COPIES, KILLS = 40, 20
LIMIT_SECONDS = 120
_STRAYS = """
SELECT run_id FROM (
    SELECT run_id FROM sync_run_phases UNION ALL SELECT run_id FROM entity_outcomes
    UNION ALL SELECT run_id FROM entity_failures)
WHERE run_id NOT IN (SELECT run_id FROM sync_runs)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, prepared_home: Path, running_sandbox: RunningSandbox) -> Years:
    home = shutil.copytree(prepared_home, tmp_path_factory.mktemp("years"), dirs_exist_ok=True)
    return make_years(home, running_sandbox, copies=COPIES)


def at_work(home: Path) -> bool:
    """Whether a prune has begun and not ended."""
    try:
        descriptor = os.open(home / PRUNE_LOCK_NAME, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def index_rows(home: Path) -> Counter[str]:
    """Of each run in the database that all share."""
    with closing(sqlite3.connect(home / "history" / "runs" / "index.db")) as connection:
        found = Counter(dict(connection.execute("SELECT run_id, COUNT(*) FROM event_logs GROUP BY run_id")))
        found.update(
            dict(connection.execute("SELECT run_id, COUNT(*) FROM asset_check_executions GROUP BY run_id"))
        )
    return found


def assert_nothing_is_half(years: Years, whole: Counter[str]) -> None:
    dagster, ledger, files = years.in_dagster(), years.in_ledger(), years.with_files()
    assert dagster <= ledger, "the ledger forgets a run after Dagster"
    assert dagster <= files
    assert files <= ledger, "what is to be finished is still known"
    rows = index_rows(years.home)
    assert {run_id: rows[run_id] for run_id in dagster} == {run_id: whole[run_id] for run_id in dagster}
    with held(years.home / "ledger.duckdb"):
        pass  # the kill left no lock
    with years.ledger.read() as tx:
        assert check(tx).ok
        assert tx._connection.execute(_STRAYS).fetchall() == []


def test_a_prune_that_is_killed_at_any_moment_leaves_no_run_half_and_the_next_one_finishes(
    made: Years, tmp_path: Path
) -> None:
    whole, content = index_rows(made.home), content_of(made.ledger.path, with_run_columns=True)
    server, kills = context(), Counter[str]()
    environment = {"GITLAB_URL": "http://127.0.0.1:9", "GITLAB_TOKEN": "none"}

    def begin(name: str) -> tuple[Years, ForkServerProcess]:
        years = made.copied_to(tmp_path / name)
        process = start_prune(server, years.home, environment | {"DAGSTER_HOME": str(years.home)})
        wait_until(lambda: at_work(years.home), limit_seconds=LIMIT_SECONDS, what="the prune has begun")
        return years, process

    unkilled, process = begin("unkilled")
    begun = time.monotonic()
    process.join(LIMIT_SECONDS)
    life = time.monotonic() - begun
    assert unkilled.in_ledger() == set(made.young)
    for number in range(KILLS):
        years, process = begin(f"kill-{number}")
        time.sleep(life * (number + 0.5) / KILLS)
        process.kill()
        process.join(LIMIT_SECONDS)
        assert_nothing_is_half(years, whole)
        kills[moment(years)] += 1
        again = start_prune(server, years.home, environment | {"DAGSTER_HOME": str(years.home)})
        again.join(LIMIT_SECONDS)
        assert again.exitcode == 0
        assert years.in_dagster() == years.with_files() == years.in_ledger() == set(made.young)
        assert index_rows(years.home).keys() <= set(made.young)
        assert content_of(years.ledger.path, with_run_columns=True) == content
        shutil.rmtree(years.home)
    assert kills["in Dagster's part"] >= KILLS / 4, kills


def moment(years: Years) -> str:
    """Where the kill met it."""
    dagster, ledger = len(years.in_dagster()), len(years.in_ledger())
    if dagster == len(years.old) + len(years.young):
        return "before the first run went"
    if dagster > len(years.young):
        return "in Dagster's part"
    return "in the ledger's part" if ledger > len(years.young) else "at the end"
