"""The ledger's own commands, and what a sync does when its ledger is full, damaged or gone."""

import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline.defs.launch import launch
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.file import wal_path
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.ledger_dump import content_of, query

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
SCOPE = "acme/rocket#1-40!20-40"
"""With two that do not exist; all of it takes more than ROOM."""
ROOM = 450_000
"""Bytes: more than Dagster's own files and the first windows of a run need."""


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the repository, whose .env would set DAGSTER_HOME."""
    monkeypatch.chdir(home)


def called(*arguments: str) -> "typer.testing.Result":
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def document(done: "typer.testing.Result") -> dict[str, Any]:
    assert done.stderr == ""
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def checked() -> dict[str, Any]:
    return document(called("ledger", "check", "--json"))


def synced(*arguments: str, limit_bytes: int = resource.RLIM_INFINITY) -> "subprocess.CompletedProcess[str]":
    """The program in a process of its own, in which no file may grow beyond the limit."""
    limits = (limit_bytes, resource.RLIM_INFINITY)
    return subprocess.run(
        [PROGRAM, "sync", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits),
    )


# ---------------------------------------------------------------------- commands


def test_after_real_runs_the_check_finds_nothing_and_backup_and_compact_keep_all(
    sync: Sync, ledger: DuckDBLedger, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    sync("acme/rocket#12-14!34+35")
    sandbox.control.delete_issue(12)
    for _ in range(2):
        sync("acme/rocket#12+13+9999")
    sync("acme/nowhere#12")
    sandbox.control.add_fault("/api/v4/projects/*/issues/14/discussions", status=500)
    sync("acme/rocket#14")
    report = checked()
    assert (report["ok"], report["violations"]) == (True, [])
    assert report["rows"]["sync_runs"] == 5
    before = content_of(ledger.path, with_run_columns=True)
    made = document(called("ledger", "backup", str(tmp_path / "copy.duckdb"), "--json"))
    assert content_of(Path(made["path"]), with_run_columns=True) == before
    done = document(called("ledger", "compact", "--json"))
    assert done["bytes_after"] == ledger.path.stat().st_size
    assert content_of(ledger.path, with_run_columns=True) == before
    assert checked()["rows"] == report["rows"]


def test_a_violation_is_exit_code_1_and_told_with_examples(sync: Sync, ledger: DuckDBLedger) -> None:
    run = sync("acme/rocket#12")
    with ledger.write("break") as tx:
        tx._connection.execute("UPDATE sync_runs SET ingested = 7")
    done = called("ledger", "check")
    assert done.exit_code == 1
    assert "entity_counters" in done.stdout
    assert f"{run.run_id}: ingested is 7, the rows say 1" in done.stdout
    as_json = called("ledger", "check", "--json")
    assert as_json.exit_code == 1
    (violation,) = json.loads(as_json.stdout)["violations"]
    assert (violation["invariant"], violation["count"]) == ("entity_counters", 1)


def test_people_get_a_line(sync: Sync, tmp_path: Path) -> None:
    sync("acme/rocket#12")
    assert "15 of 15 rules kept" in called("ledger", "check").stdout
    assert "bytes in" in called("ledger", "backup", str(tmp_path / "copy.duckdb")).stdout
    assert "bytes before" in called("ledger", "compact").stdout


def test_a_backup_onto_something_is_exit_code_2(sync: Sync, ledger: DuckDBLedger, tmp_path: Path) -> None:
    sync("acme/rocket#12")
    (tmp_path / "taken").write_text("a letter")
    for place, sentence in (("taken", "replace it with --force"), (str(ledger.path), "is the ledger itself")):
        done = called("ledger", "backup", place)
        assert (done.exit_code, done.stdout) == (2, "")
        assert sentence in done.stderr
    assert called("ledger", "backup", "taken", "--force").exit_code == 0


@pytest.mark.parametrize("command", [["backup", "copy"], ["check"], ["compact"]])
def test_without_a_ledger_there_is_nothing_to_care_for(command: list[str], ledger: DuckDBLedger) -> None:
    done = called("ledger", *command, "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "there is no ledger at" in done.stderr
    assert not ledger.exists


# ---------------------------------------------------------------------- a sync and its ledger


def test_a_sync_whose_disk_fills_up_fails_and_the_next_one_completes(sync: Sync, ledger: DuckDBLedger) -> None:
    sync("acme/rocket#12")
    ledger.checkpoint()
    before = query(ledger.path, "SELECT run_id, status FROM sync_runs")
    done = synced(SCOPE, "--json", limit_bytes=ROOM)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    result = json.loads(done.stdout)
    assert result["completion_status"] == "failed"
    assert result["error"]["code"] == FailureCode.LEDGER_ERROR
    assert "its disk is full" in result["error"]["message"]
    assert set(before) < set(query(ledger.path, "SELECT run_id, status FROM sync_runs"))
    assert checked()["violations"] == []
    again = synced(SCOPE, "--json")
    assert again.returncode == 3, again.stdout + again.stderr
    assert json.loads(again.stdout)["counters"]["ingested"] > 20
    assert checked()["violations"] == []


def move_away_once_dependents_are_asked_for(ledger: DuckDBLedger, sandbox: RunningSandbox) -> None:
    deadline = time.monotonic() + 60
    while not any("discussions" in one.path for one in sandbox.control.requests().requests):
        assert time.monotonic() < deadline, "the run never came to its dependents"
        time.sleep(0.01)
    for path in (ledger.path, wal_path(ledger.path)):
        if path.exists():
            path.rename(f"{path}.away")


def test_a_ledger_moved_away_in_mid_run_fails_the_run_and_no_other_is_made(
    ledger: DuckDBLedger, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("/api/v4/projects/*/issues/*/discussions", delay_ms=1500)
    with ThreadPoolExecutor() as threads:
        moved = threads.submit(move_away_once_dependents_are_asked_for, ledger, sandbox)
        scope = Scope.parse("acme/rocket#12")
        run_id = launch(scope, budgets=Budgets(), dependents=CORE_DEPENDENTS, ledger=ledger)
        moved.result()
    with dg.DagsterInstance.get() as instance:
        events = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    (failed,) = [one.event_log_entry.dagster_event for one in events]
    assert failed is not None
    told = failed.step_failure_data.user_failure_data
    assert told is not None
    assert told.metadata["code"].value == FailureCode.LEDGER_ERROR
    assert "was there and is gone" in str(told.description)
    assert not ledger.path.exists()
    for path in (ledger.path, wal_path(ledger.path)):
        away = Path(f"{path}.away")
        if away.exists():
            away.rename(path)
    assert query(ledger.path, "SELECT status, phase FROM sync_runs") == [("running", "dependents")]


def by_sqlite(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE letters (text)")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        pytest.param(lambda path: path.write_bytes(os.urandom(9000)), "it is no DuckDB database", id="garbage"),
        pytest.param(by_sqlite, "it is a SQLite database", id="sqlite"),
        pytest.param(lambda path: os.truncate(path, 5000), "is damaged", id="truncated"),
    ],
)
def test_a_sync_refuses_a_damaged_ledger_before_anything_is_sent(
    sync: Sync, ledger: DuckDBLedger, sandbox: RunningSandbox, damage: Callable[[Path], object], sentence: str
) -> None:
    sync("acme/rocket#12")
    ledger.checkpoint()
    damage(ledger.path)
    before = ledger.path.read_bytes()
    asked = sandbox.control.requests().count
    done = called("sync", "acme/rocket#12", "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert ledger.path.read_bytes() == before
    assert sandbox.control.requests().count == asked
