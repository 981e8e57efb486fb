"""A program that knows nothing of the lock has the ledger open: what `sync` says, and how long it waits."""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from surgical_pipeline.defs.launch import LAST_LOOK_SECONDS, reconcile_now
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import find_run
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.integration.ledger.processes import beside
from surgical_pipeline_tests.ledger_gate import held_when

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
LIMIT_SECONDS = 6.0


@pytest.fixture(autouse=True)
def impatient(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home
    monkeypatch.setenv("SURGICAL_LOCK_TIMEOUT_SECONDS", str(LIMIT_SECONDS))


def start_sync() -> subprocess.Popen[str]:
    command = [PROGRAM, "sync", "acme/rocket#12+13", "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_failed(result: dict[str, Any], holder: int) -> None:
    assert result["completion_status"] == "failed"
    assert result["error"]["code"] == "LOCK_TIMEOUT"
    assert f"(PID {holder})" in result["error"]["message"]
    assert [one["entity"] for one in result["entity_outcomes"]] == ["acme/rocket#12", "acme/rocket#13"]


def test_a_sync_that_finds_the_ledger_held_prints_a_failed_result_and_gets_its_row_later(
    sync: Sync, ledger: DuckDBLedger
) -> None:
    sync("acme/rocket#12")
    with beside("hold_shell", ledger.path) as shell, start_sync() as process:
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    assert f"(PID {shell.pid}) has open" in stderr
    result = json.loads(stdout)
    check_failed(result, shell.pid)
    reconcile_now(ledger)
    with ledger.read() as tx:
        row = find_run(tx, result["run_id"])
    assert row is not None
    assert (row.status, row.failure_code) == ("failed", "LOCK_TIMEOUT")
    assert str(row.failure_message).startswith("The ledger "), "the code has a column of its own"


def test_a_run_whose_ledger_is_taken_meanwhile_waits_for_it_once(sync: Sync, ledger: DuckDBLedger) -> None:
    """Its ending is not tried as well, each time with the whole limit: the mirror tells the ledger."""
    sync("acme/rocket#12")
    with start_sync() as process, ExitStack() as stack:
        with held_when(ledger.path, lambda row: row.phase == "dependents" and row.status == "running"):
            shell = stack.enter_context(beside("hold_shell", ledger.path))
        taken = time.monotonic()
        stdout, stderr = process.communicate(timeout=60)
        waited = time.monotonic() - taken
    assert "Traceback" not in stderr
    check_failed(json.loads(stdout), shell.pid)
    assert LIMIT_SECONDS < waited < 2 * LIMIT_SECONDS + LAST_LOOK_SECONDS
