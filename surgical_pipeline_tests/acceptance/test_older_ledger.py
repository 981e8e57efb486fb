"""A ledger that goes back in time, or is deleted in mid-run, while Dagster keeps its history."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline.defs.launch import launch, reconcile_now
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.file import wal_path
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import RunSummary, list_runs
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.dagster_dev import wait_until


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the repository, whose .env would set DAGSTER_HOME."""
    monkeypatch.chdir(home)


def put_back(path: Path, copy: Path) -> None:
    wal_path(path).unlink(missing_ok=True)
    shutil.copyfile(copy, path)


def copied(ledger: DuckDBLedger) -> Path:
    ledger.checkpoint()
    copy = ledger.path.with_name("copy.duckdb")
    shutil.copyfile(ledger.path, copy)
    return copy


def row(ledger: DuckDBLedger, run_id: str) -> RunSummary | None:
    with DuckDBLedger(ledger.path).read() as tx:
        return next((run for run in list_runs(tx, limit=100) if run.run_id == run_id), None)


def test_runs_that_an_older_ledger_never_saw_become_rows_that_retry_repeats(
    sync: Sync, ledger: DuckDBLedger
) -> None:
    sync("acme/rocket#12")
    copy = copied(ledger)
    lost = [sync("acme/rocket#13!34"), sync("acme/rocket#14")]
    put_back(ledger.path, copy)
    changes = reconcile_now(DuckDBLedger(ledger.path))
    assert [change.what for change in changes].count("failed") == 2
    for run in lost:
        found = row(ledger, run.run_id)
        assert found is not None
        assert (found.status, found.failure_code, found.scope) == ("failed", "LEDGER_ERROR", run.scope)
        assert "what it wrote is not in this ledger" in str(found.failure_message)
    assert reconcile_now(DuckDBLedger(ledger.path)) == []
    retried = CliRunner().invoke(app, ["retry", lost[0].run_id, "--json"])
    assert retried.exit_code == 0, retried.output
    assert json.loads(retried.stdout)["scope"] == lost[0].scope
    assert json.loads(retried.stdout)["result"]["counters"]["ingested"] == 2


def test_the_next_sync_tells_of_all_of_them_too(sync: Sync, ledger: DuckDBLedger) -> None:
    sync("acme/rocket#12")
    copy = copied(ledger)
    lost = [sync(scope).run_id for scope in ("acme/rocket#13", "acme/rocket#14")]
    put_back(ledger.path, copy)
    again = DuckDBLedger(ledger.path)
    launch(Scope.parse("acme/rocket#15"), budgets=Budgets(), dependents=CORE_DEPENDENTS, ledger=again)
    found = [row(ledger, run_id) for run_id in lost]
    assert [one and one.failure_code for one in found] == ["LEDGER_ERROR", "LEDGER_ERROR"]


def test_what_succeeded_in_another_ledger_is_none_of_this_ones_business(sync: Sync, home: Path) -> None:
    sync("acme/rocket#12")
    another = DuckDBLedger(home / "another.duckdb")
    with another.write("make"):
        pass
    assert reconcile_now(another) == []
    assert row(another, sync("acme/rocket#12").run_id) is None


def test_a_run_that_an_older_ledger_knows_as_running_is_not_called_a_lost_worker(
    sync: Sync, ledger: DuckDBLedger, sandbox: RunningSandbox
) -> None:
    sync("acme/rocket#12")
    sandbox.control.add_fault("/api/v4/projects/*/issues/13/discussions", delay_ms=2000)
    with ThreadPoolExecutor() as threads:
        copying = threads.submit(_copied_in_dependents, ledger, sandbox)
        run = sync("acme/rocket#13")
        copy = copying.result()
    assert run.completion_status == "succeeded"
    put_back(ledger.path, copy)
    reconcile_now(DuckDBLedger(ledger.path))
    found = row(ledger, run.run_id)
    assert found is not None
    assert (found.status, found.phase, found.failure_code) == ("failed", "dependents", "LEDGER_ERROR")


def _copied_in_dependents(ledger: DuckDBLedger, sandbox: RunningSandbox) -> Path:
    _wait_for_dependents(sandbox, 13)
    return copied(DuckDBLedger(ledger.path))


def _wait_for_dependents(sandbox: RunningSandbox, iid: int) -> None:
    wait_until(
        lambda: any(f"/issues/{iid}/discussions" in one.path for one in sandbox.control.requests().requests),
        limit_seconds=60,
        what="the run is in its dependents",
    )


def test_a_run_whose_ledger_was_deleted_and_made_anew_in_mid_run_says_so(
    ledger: DuckDBLedger, sandbox: RunningSandbox
) -> None:
    """Another process, such as Dagster's daemon, makes the new one, with a row of the run that goes on."""
    sandbox.control.add_fault("/api/v4/projects/*/issues/12/discussions", delay_ms=3000)

    def delete_and_look() -> None:
        _wait_for_dependents(sandbox, 12)
        with DuckDBLedger(ledger.path).kept_still(exclusive=True):
            for path in (ledger.path, wal_path(ledger.path)):
                path.unlink(missing_ok=True)
        reconcile_now(DuckDBLedger(ledger.path))

    with ThreadPoolExecutor() as threads:
        deleting = threads.submit(delete_and_look)
        run_id = launch(
            Scope.parse("acme/rocket#12"), budgets=Budgets(), dependents=CORE_DEPENDENTS, ledger=ledger
        )
        deleting.result()
    reconcile_now(DuckDBLedger(ledger.path))
    found = row(ledger, run_id)
    assert found is not None
    assert (found.status, found.failure_code) == ("failed", "LEDGER_ERROR")
    assert "is not the one in which run" in str(found.failure_message)
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.FAILURE
