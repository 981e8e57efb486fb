"""Merged into somebody's code location and chosen on the assets' page: each stage has a process, and all holds."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
import pytest

from surgical_pipeline.defs.asset_keys import ASSETS
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.domain.lifecycle import STAGES
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests import merged_location
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.dagster_dev import RUN_LIMIT_SECONDS, kill_tree
from surgical_pipeline_tests.run_watch import FOR_EVER_MS, assert_whole, wait_for_request
from surgical_pipeline_tests.surroundings import REPOSITORY

pytestmark = pytest.mark.processes

SCOPE = "acme/rocket#12!34"
BLOCK = {"scope": SCOPE}
LIMIT_SECONDS = 3 * RUN_LIMIT_SECONDS
"""Each stage has to start a process first."""
LISTS = {"/api/v4/projects/4201/issues", "/api/v4/projects/4201/merge_requests"}


@pytest.fixture
def instance(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("THEIR_FOLDER", str(home))
    with dg.DagsterInstance.get() as opened:
        yield opened


def result_of(ledger: DuckDBLedger, run_id: str) -> SyncResult:
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    assert result is not None
    return result


def step_processes(instance: dg.DagsterInstance, run_id: str) -> dict[str, int | None]:
    """The process of each step."""
    started = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
    return {str(entry.step_key): entry.get_dagster_event().pid for entry in started}


def newest_run(instance: dg.DagsterInstance) -> dg.DagsterRun:
    return next(iter(instance.get_runs(limit=1)))


@contextmanager
def running(
    instance: dg.DagsterInstance, sandbox: RunningSandbox
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A run in a process of its own that waits for discussions, and its id."""
    sandbox.control.add_fault("*/issues/*/discussions", delay_ms=FOR_EVER_MS)
    worker = subprocess.Popen([*merged_location.COMMAND, SCOPE], cwd=REPOSITORY)
    try:
        wait_for_request(sandbox, "/discussions", limit_seconds=LIMIT_SECONDS)
        yield worker, newest_run(instance).run_id
    finally:
        if worker.poll() is None:
            kill_tree(worker)


def stage_process(worker: subprocess.Popen[bytes]) -> psutil.Process:
    """The one that the worker has started for the stage that runs; the other one tracks its resources."""
    children = psutil.Process(worker.pid).children()
    return next(one for one in children if "spawn_main" in " ".join(one.cmdline()))


def reconciled(instance: dg.DagsterInstance, ledger: DuckDBLedger, run_id: str) -> SyncResult:
    Mirror(instance, ledger).reconcile()
    return result_of(ledger, run_id)


def test_each_stage_has_its_process_and_the_ledger_says_what_it_says_of_a_run_in_one(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, sync: Sync
) -> None:
    done = merged_location.materialize(instance, BLOCK)
    assert done.success
    pids = step_processes(instance, done.run_id)
    assert set(pids) == {*(f"surgical_sync.{stage}" for stage in STAGES), "ledger_checks"}
    assert len(set(pids.values())) == len(pids)
    assert all(one.passed for one in done.get_asset_check_evaluations())
    assert {event.asset_key for event in done.get_asset_materialization_events()} == set(ASSETS)
    first = result_of(ledger, done.run_id)
    assert (first.completion_status, first.phase, first.warnings_count) == ("succeeded", "done", 0)
    assert first.mode == "surgical"
    in_one = sync(SCOPE)
    assert first.counters.requested == first.counters.fetched == in_one.counters.fetched == 2
    assert first.http.requests >= in_one.http.requests
    assert first.lock.windows > in_one.lock.windows
    with ledger.read() as tx:
        phases = tx._connection.execute(
            "SELECT phase, http_requests, finished_at FROM sync_run_phases WHERE run_id = ? ORDER BY started_at",
            [done.run_id],
        ).fetchall()
    assert [phase for phase, _, _ in phases] == list(map(str, STAGES))
    requests = {phase: count for phase, count, _ in phases}
    assert requests["preflight"] >= 3
    assert sum(requests.values()) == first.http.requests
    assert all(finished for _, _, finished in phases)
    assert_whole(ledger.path)


def test_a_stage_that_is_killed_fails_the_run_and_its_re_execution_goes_on_there(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, sandbox: RunningSandbox
) -> None:
    with running(instance, sandbox) as (worker, run_id):
        stage_process(worker).kill()
        assert worker.wait(LIMIT_SECONDS) == 1
    lost = reconciled(instance, ledger, run_id)
    assert lost.error is not None
    assert (lost.completion_status, lost.phase, lost.error.code) == ("failed", "dependents", "WORKER_LOST")
    assert "the process of a stage is gone" in lost.error.message
    sandbox.control.reset()
    again = merged_location.materialize(
        instance, BLOCK, options=dg.ReexecutionOptions.from_failure(run_id, instance=instance)
    )
    assert again.success
    assert set(step_processes(instance, again.run_id)) == {
        *(f"surgical_sync.{stage}" for stage in STAGES[2:]),
        "ledger_checks",
    }
    result = result_of(ledger, again.run_id)
    assert (result.completion_status, result.warnings_count, result.counters.fetched) == ("succeeded", 0, 2)
    assert not LISTS & {one.path for one in sandbox.control.requests().requests}
    assert_whole(ledger.path)


def test_a_run_that_is_cancelled_is_cancelled_by_the_process_of_its_stage(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, sandbox: RunningSandbox
) -> None:
    with running(instance, sandbox) as (worker, run_id):
        instance.report_run_canceling(newest_run(instance))
        worker.send_signal(signal.SIGINT)
        worker.wait(LIMIT_SECONDS)
    result = result_of(ledger, run_id)
    assert (result.completion_status, result.phase) == ("cancelled", "cancelled")
    assert {one.code for one in result.entity_failures} == {"CANCELLED"}
    assert newest_run(instance).status is dg.DagsterRunStatus.CANCELED
    assert_whole(ledger.path)


def test_a_run_whose_worker_is_killed_is_lost_and_the_stage_that_goes_on_writes_nothing(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, sandbox: RunningSandbox
) -> None:
    with running(instance, sandbox) as (worker, run_id):
        stage = stage_process(worker)
        assert reconciled(instance, ledger, run_id).completion_status == "running"
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        lost = reconciled(instance, ledger, run_id)
        assert lost.error is not None
        assert (lost.completion_status, lost.phase, lost.error.code) == ("failed", "dependents", "WORKER_LOST")
        assert newest_run(instance).status is dg.DagsterRunStatus.FAILURE
        sandbox.control.clear_faults()
        psutil.wait_procs([stage], timeout=LIMIT_SECONDS)
    assert not stage.is_running()
    assert result_of(ledger, run_id) == lost
    assert_whole(ledger.path)
