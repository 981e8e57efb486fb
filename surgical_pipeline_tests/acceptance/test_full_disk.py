"""A ledger whose disk is full to the last byte: not even the run's ending can be written."""

import json
import os
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from surgical_pipeline.defs.launch import reconcile_now
from surgical_pipeline.ledger.duckdb.checkpoints import MOST_BYTES, CheckpointPolicy
from surgical_pipeline.ledger.duckdb.file import wal_bytes
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.integration.ledger.examples import run_sql
from surgical_pipeline_tests.ledger_dump import query

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
LIMIT = 900_000
"""Bytes of a file: Dagster's own stay below it."""
ROW = 1_300
"""Bytes of the log that the rest of a row takes."""


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the repository, whose .env would set DAGSTER_HOME."""
    monkeypatch.chdir(home)


def fill(ledger: DuckDBLedger, upto: int) -> None:
    """Let the log grow to so many bytes."""
    missing = upto - wal_bytes(ledger.path) - ROW
    with ledger.write("fill") as tx:
        run_sql(tx, f"UPDATE sync_runs SET failure_message = '{os.urandom(missing // 2).hex()}'")
    assert abs(wal_bytes(ledger.path) - upto) < 1000


def synced(limit: int) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, in which no file may grow beyond the limit."""
    return subprocess.run(
        [PROGRAM, "sync", "acme/rocket#13-15", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)),
    )


@pytest.mark.parametrize(
    ("room", "phase", "ingested"),
    [
        pytest.param(0, "queued", 0, id="nothing could be written"),
        pytest.param(6_000, "preflight", 0, id="its row could"),
        pytest.param(40_000, "dependents", 3, id="its entities could"),
    ],
)
def test_the_result_says_failed_and_what_is_committed(
    sync: Sync, ledger: DuckDBLedger, room: int, phase: str, ingested: int
) -> None:
    sync("acme/rocket#12")
    ledger.checkpoint()
    fill(ledger, LIMIT - room)
    done = synced(LIMIT)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    result = json.loads(done.stdout)
    assert (result["completion_status"], result["phase"]) == ("failed", phase)
    assert result["error"]["code"] == "LEDGER_ERROR"
    assert result["error"]["message"].startswith("The ledger ")
    assert "its disk is full" in result["error"]["message"]
    assert [one["failure"]["code"] for one in result["entity_outcomes"]] == ["LEDGER_ERROR"] * 3
    assert len(result["entity_failures"]) == result["warnings_count"] == result["counters"]["failed"] == 3
    assert result["counters"]["ingested"] == sum(one["ingested"] for one in result["entity_outcomes"]) == ingested
    assert_agrees(ledger, result)


def assert_agrees(ledger: DuckDBLedger, result: dict[str, object]) -> None:
    """With space again the ledger says the same, once somebody has looked."""
    reconcile_now(DuckDBLedger(ledger.path))
    columns = "status, phase, failure_code, failure_message, ingested, failed, warnings_count"
    found = query(ledger.path, f"SELECT {columns} FROM sync_runs WHERE run_id = '{result['run_id']}'")
    error, counters = result["error"], result["counters"]
    assert isinstance(error, dict)
    assert isinstance(counters, dict)
    expected = (error["code"], error["message"], counters["ingested"], 3, 3)
    assert found == [("failed", result["phase"], *expected)]


def test_a_log_that_cannot_be_folded_in_is_a_line_without_a_traceback(sync: Sync, ledger: DuckDBLedger) -> None:
    sync("acme/rocket#12")
    ledger._engine.checkpoints = CheckpointPolicy(price_ms=1e9)  # it is left to the command
    fill(ledger, MOST_BYTES - 2000)
    ledger.checkpoint()
    fill(ledger, MOST_BYTES - 2000)  # folded in beside what it replaces, the file is larger than the log
    done = synced(MOST_BYTES + 50_000)
    assert "could not be checkpointed yet: The ledger" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["completion_status"] != "running"
