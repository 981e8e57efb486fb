"""`retry RUN_ID`: only what failed and may succeed, with the run as its parent."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.dagster_home import move_in, run_job
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.published_schemas import check_output

SLOW = "/api/v4/projects/*/issues/13/discussions"


def retry(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document."""
    done = CliRunner().invoke(app, ["retry", *arguments, "--json"])
    check_output(["retry", *arguments, "--json"], done.stdout)
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture(scope="module")
def partly_home(
    tmp_path_factory: pytest.TempPathFactory, prepared_home: Path, running_sandbox: RunningSandbox
) -> tuple[Path, SyncResult]:
    running_sandbox.control.reset()
    running_sandbox.control.add_fault(SLOW, delay_ms=30_000)
    home = shutil.copytree(prepared_home, tmp_path_factory.mktemp("partly"), dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        move_in(home, running_sandbox, monkeypatch=monkeypatch)
        result = run_job(
            DuckDBLedger(home / "ledger.duckdb"),
            "acme/rocket#12+13+9999",
            budgets=Budgets(entity_timeout_seconds=0.5),
            dependents=(Dependent.DISCUSSIONS, Dependent.LINKS),
        )
    assert result.completion_status == "succeeded_with_warnings"
    return home, result


@pytest.fixture
def partly(home: Path, partly_home: tuple[Path, SyncResult]) -> SyncResult:
    """One issue up to date, one too slow, one that does not exist; dependents as somebody chose them."""
    synced, result = partly_home
    shutil.copytree(synced, home, dirs_exist_ok=True)
    return result


def test_only_what_may_succeed_is_tried_again_and_the_rest_is_named_with_its_reason(
    partly: SyncResult, sandbox: RunningSandbox
) -> None:
    code, document = retry(partly.run_id[:8])
    assert code == 0
    assert (document["parent_run_id"], document["scope"]) == (partly.run_id, "acme/rocket#13")
    assert [(one["entity"], one["code"]) for one in document["left_alone"]] == [
        ("acme/rocket#12", None),
        ("acme/rocket#9999", "NOT_FOUND"),
    ]
    assert document["result"]["completion_status"] == "succeeded"
    assert document["result"]["parent_run_id"] == partly.run_id
    paths = {request.path for request in sandbox.control.requests().requests}
    assert not any("/12/" in path or "9999" in path for path in paths)


def test_a_retry_has_the_config_of_its_run_and_what_is_changed_by_hand(
    partly: SyncResult, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault(SLOW, delay_ms=30_000)
    code, document = retry(partly.run_id, "--entity-timeout-seconds", "0.3")
    assert code == 3
    failures = document["result"]["entity_failures"]
    assert [(one["code"], one["dependent"]) for one in failures] == [("TIMEOUT", "discussions")]
    asked = {request.path.rpartition("/")[2] for request in sandbox.control.requests().requests}
    assert "links" in asked
    assert "resource_label_events" not in asked, "the run asked for discussions and links alone"


def test_a_retry_of_a_retry_knows_its_parent(partly: SyncResult, home: Path, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(SLOW, delay_ms=30_000)
    _, first = retry(partly.run_id)
    sandbox.control.clear_faults()
    _, second = retry(first["result"]["run_id"])
    rows = query(home / "ledger.duckdb", "SELECT run_id, parent_run_id FROM sync_runs ORDER BY started_at")
    ids = [partly.run_id, first["result"]["run_id"], second["result"]["run_id"]]
    assert rows == list(zip(ids, [None, *ids], strict=False))


def test_there_may_be_nothing_to_try_again(sync: Sync, sandbox: RunningSandbox) -> None:
    result = sync("acme/rocket#12+9999")
    sandbox.control.clear_requests()
    code, document = retry(result.run_id)
    assert (code, document["scope"], document["result"]) == (0, None, None)
    assert sandbox.control.requests().count == 0


def test_a_run_that_has_not_ended_is_not_retried(ledger: DuckDBLedger) -> None:
    scope = Scope.parse("acme/rocket#12")
    SyncRunRecorder(ledger, "run-1").start_surgical(scope, mode=RunMode.SURGICAL, trigger=Trigger.CLI)
    done = CliRunner().invoke(app, ["retry", "run-1"])
    assert done.exit_code == 2
    assert "is running: wait for its end" in done.stderr


@pytest.mark.usefixtures("partly")
def test_an_unknown_run_is_exit_code_2() -> None:
    done = CliRunner().invoke(app, ["retry", "no-such-run"])
    assert done.exit_code == 2
    assert "no run begins with 'no-such-run'" in done.stderr


def test_people_read_what_was_left_alone_and_why(partly: SyncResult) -> None:
    done = CliRunner().invoke(app, ["retry", partly.run_id])
    assert done.exit_code == 0
    assert "left alone: acme/rocket#9999 NOT_FOUND" in done.stdout
    assert "left alone: 1 that are up to date" in done.stdout
    assert "tried again: acme/rocket#13" in done.stdout
