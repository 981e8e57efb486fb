"""Dagster's automatic retries, which begin in the stage that failed, under a real daemon."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import RUN_LIMIT_SECONDS, DagsterDev, running_dagster_dev, wait_until
from surgical_pipeline_tests.ledger_gate import held_when
from surgical_pipeline_tests.run_watch import (
    FOR_EVER_MS,
    assert_whole,
    result_of,
    running_in,
    wait_for_ending,
    wait_for_request,
)

pytestmark = pytest.mark.dagster_dev

CONFIG = {"project": "acme/rocket", "issue_iids": [12, 13], "mr_iids": [34]}
RETRIES = "\nrun_retries: {enabled: true, max_retries: 3}\n"
ISSUES = "/api/v4/projects/4201/issues"
MERGE_REQUESTS = "/api/v4/projects/4201/merge_requests"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retries") / "ledger.duckdb"


@pytest.fixture(scope="module")
def dev(ledger: Path, running_sandbox: RunningSandbox) -> Iterator[DagsterDev]:
    environment = {
        "GITLAB_URL": running_sandbox.url,
        "GITLAB_TOKEN": running_sandbox.token,
        "SURGICAL_LEDGER": str(ledger),
    }
    with running_dagster_dev(ledger.parent, environment, more_settings=RETRIES) as running:
        yield running


def retries_of(dev: DagsterDev, run_id: str) -> dict[str, str]:
    return {
        one: status for one, status in dev.runs_with_tag("dagster/root_run_id", run_id).items() if one != run_id
    }


def wait_for_good_retry(dev: DagsterDev, run_id: str) -> str:
    return wait_until(
        lambda: next((one for one, status in retries_of(dev, run_id).items() if status == "SUCCESS"), None),
        limit_seconds=RUN_LIMIT_SECONDS,
        what=f"a retry of {run_id} succeeds",
    )


def kill_in_dependents(dev: DagsterDev, ledger: Path, sandbox: RunningSandbox) -> str:
    """SIGKILL to the worker of a run that waits for discussions; all faults are over then."""
    sandbox.control.add_fault("*/issues/*/discussions", delay_ms=FOR_EVER_MS)
    run_id = dev.run(CONFIG)
    wait_for_request(sandbox, "/discussions")
    with held_when(ledger, running_in(run_id, "dependents")) as row:
        assert row.pid is not None
        os.kill(row.pid, signal.SIGKILL)
    sandbox.control.clear_faults()
    return run_id


def assert_all_up_to_date(ledger: Path, run_id: str) -> None:
    result = result_of(ledger, run_id)
    assert (result.completion_status, result.phase, result.warnings_count) == ("succeeded", "done", 0)
    assert [one.entity for one in result.entity_outcomes if one.fetched] == [
        "acme/rocket#12",
        "acme/rocket#13",
        "acme/rocket!34",
    ]
    assert result.counters.requested == result.counters.fetched == 3
    assert_whole(ledger)


def test_a_run_that_fetched_nothing_fails_in_preflight_and_its_retry_asks_again(
    dev: DagsterDev, ledger: Path, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault(ISSUES, status=500)
    sandbox.control.add_fault(f"{ISSUES}/*", status=500)
    sandbox.control.add_fault(MERGE_REQUESTS, status=500)
    sandbox.control.add_fault(f"{MERGE_REQUESTS}/*", status=500)
    run_id = dev.run(CONFIG)
    row = wait_for_ending(ledger, run_id) if dev.wait_for_end(run_id) else None
    assert row is not None
    assert (row.status, row.phase, row.failure_code) == ("failed", "preflight", "SERVER_ERROR")
    failures = [one.failure for one in result_of(ledger, run_id).entity_outcomes]
    assert [one and (one.code, one.stage) for one in failures] == [("SERVER_ERROR", "preflight")] * 3
    sandbox.control.clear_faults()
    assert_all_up_to_date(ledger, wait_for_good_retry(dev, run_id))


def test_a_retry_in_a_later_stage_asks_again_for_what_preflight_could_not_fetch(
    dev: DagsterDev, ledger: Path, sandbox: RunningSandbox
) -> None:
    """And a run that was cancelled before it is not retried: Dagster comes to its runs in their order."""
    sandbox.control.add_fault("*/issues/*/discussions", delay_ms=FOR_EVER_MS)
    cancelled = dev.run(CONFIG)
    wait_for_request(sandbox, "/discussions")
    dev.terminate(cancelled)
    assert dev.wait_for_end(cancelled) == "CANCELED"
    sandbox.control.reset()
    sandbox.control.add_fault(MERGE_REQUESTS, status=500)
    sandbox.control.add_fault(f"{MERGE_REQUESTS}/*", status=500)
    run_id = kill_in_dependents(dev, ledger, sandbox)
    row = wait_for_ending(ledger, run_id)
    assert (row.status, row.phase, row.failure_code) == ("failed", "dependents", "WORKER_LOST")
    retried = wait_for_good_retry(dev, run_id)
    assert_all_up_to_date(ledger, retried)
    paths = [one.path for one in sandbox.control.requests().requests]
    assert sum(path == ISSUES for path in paths) == 1, "what was fetched is not asked for again"
    assert retries_of(dev, cancelled) == {}
