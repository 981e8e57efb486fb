"""Workers that are gone without a word, under a real `dagster dev`; and going on where they stopped."""

import os
import signal
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from dagster_shared.record import copy

from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.checks import rows_outside_scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import HELD, DagsterDev, kill_tree, running_dagster_dev, wait_until
from surgical_pipeline_tests.ledger_gate import held_when, rows, wait_until_waiting
from surgical_pipeline_tests.run_watch import (
    FOR_EVER_MS,
    TICKS_SECONDS,
    assert_whole,
    came_through,
    result_of,
    running_in,
    wait_for_ending,
    wait_for_request,
)

pytestmark = pytest.mark.dagster_dev

SCOPE = Scope.parse("acme/rocket#12-14!34+35")
CONFIG = {"project": SCOPE.project, "issue_iids": list(SCOPE.issue_iids), "mr_iids": list(SCOPE.mr_iids)}


def kill_worker_in(dev: DagsterDev, ledger: Path, stage: str, *, sandbox: RunningSandbox) -> str:
    """SIGKILL to the worker of a run when it is in that stage; gives the run's id."""
    for iid in SCOPE.issue_iids:
        sandbox.control.update_issue(iid, title=f"issue {iid}, {uuid4()}")
    if stage == "dependents":
        sandbox.control.add_fault("*/discussions", delay_ms=FOR_EVER_MS)
    run_id = dev.run(CONFIG)
    if stage == "dependents":
        wait_for_request(sandbox, "/discussions")
    with held_when(ledger, running_in(run_id, stage)) as row:
        assert row.pid is not None
        if stage != "dependents":
            wait_until_waiting(ledger, row.pid)
        os.kill(row.pid, signal.SIGKILL)
    sandbox.control.clear_faults()
    return run_id


# In preflight by its row: it waits for ingest's first window, which would have told of ingest.
@pytest.mark.parametrize("stage", ["preflight", "dependents", "docs", "embed"])
def test_a_killed_workers_run_is_lost_on_both_sides_and_goes_on_from_its_stage(
    dev: DagsterDev, dev_ledger: Path, sandbox: RunningSandbox, stage: str
) -> None:
    run_id = kill_worker_in(dev, dev_ledger, stage, sandbox=sandbox)
    row = wait_for_ending(dev_ledger, run_id)
    assert (row.status, row.phase, row.failure_code) == ("failed", stage, "WORKER_LOST")
    assert dev.wait_for_end(run_id) == "FAILURE"
    assert_whole(dev_ledger)
    assert_goes_on(dev, dev_ledger, run_id)


def test_a_run_that_failed_in_preflight_goes_on_from_there(
    dev: DagsterDev, dev_ledger: Path, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("*/projects/acme%2Frocket", status=404)
    run_id = dev.run(CONFIG)
    assert dev.wait_for_end(run_id) == "FAILURE"
    row = wait_for_ending(dev_ledger, run_id)
    assert (row.status, row.phase, row.failure_code) == ("failed", "preflight", "PROJECT_NOT_FOUND")
    sandbox.control.clear_faults()
    assert_goes_on(dev, dev_ledger, run_id)


def assert_goes_on(dev: DagsterDev, ledger: Path, parent: str) -> None:
    """Re-executed from failure it has a row of its own, with every entity, and counters that are their sums."""
    run_id = dev.reexecute_from_failure(parent)
    assert dev.wait_for_end(run_id) == "SUCCESS", dev.log.read_text(encoding="utf-8")[-4000:]
    result = result_of(ledger, run_id)
    assert (result.parent_run_id, result.phase) == (parent, "done")
    assert came_through(result)
    assert [one.entity for one in result.entity_outcomes] == list(map(SCOPE.name, SCOPE.keys()))
    # The sandbox went back to its sample, this ledger did not: what an earlier test edited may be newer here.
    assert all(one.fetched and (one.ingested or one.stale_skipped) for one in result.entity_outcomes)
    counters = result.counters
    assert counters.requested == counters.fetched == counters.ingested + counters.stale_skipped == len(SCOPE)
    regenerated = [len(one.regenerated_document_ids) for one in result.entity_outcomes]
    assert counters.documents_regenerated == sum(regenerated)
    assert sum(len(one.embedded_document_ids) for one in result.entity_outcomes) == sum(regenerated)
    with DuckDBLedger(ledger).read() as tx:
        assert rows_outside_scope(tx, run_id).outside == {}
    assert_whole(ledger)


def test_a_run_that_fails_before_its_first_stage_has_its_row(
    dev: DagsterDev, dev_home: Path, dev_ledger: Path
) -> None:
    """Its code location is called otherwise by the time it leaves the queue: the daemon cannot start it."""
    waiting = dev.run(CONFIG, tags=HELD)
    with dg.DagsterInstance.from_config(str(dev_home)) as instance:
        run = instance.get_run_by_id(waiting)
        assert run is not None
        assert run.remote_job_origin is not None
        origin = run.remote_job_origin
        location = copy(origin.repository_origin.code_location_origin, location_name="renamed")
        elsewhere = copy(origin, repository_origin=copy(origin.repository_origin, code_location_origin=location))
        run_id = str(uuid4())
        instance.add_run(run._replace(run_id=run_id, tags={}, remote_job_origin=elsewhere))
    dev.terminate(waiting)
    row = wait_for_ending(dev_ledger, run_id)
    assert (row.status, row.phase, row.failure_code) == ("failed", "queued", "WORKER_LOST")
    assert {one.failure.code for one in result_of(dev_ledger, run_id).entity_outcomes if one.failure} == {
        "WORKER_LOST"
    }
    assert dev.status(run_id) == "FAILURE"
    assert_whole(dev_ledger)


def test_after_the_power_went_the_next_start_is_clean(tmp_path: Path, sandbox: RunningSandbox) -> None:
    """Webserver, daemon, code server and worker die at once; nobody is left who could tell."""
    ledger = tmp_path / "ledger.duckdb"
    environment = {"GITLAB_URL": sandbox.url, "GITLAB_TOKEN": sandbox.token, "SURGICAL_LEDGER": str(ledger)}
    sandbox.control.add_fault("*/discussions", delay_ms=FOR_EVER_MS)
    with running_dagster_dev(tmp_path, environment) as before:
        run_id = before.run(CONFIG)
        wait_for_request(sandbox, "/discussions")
        kill_tree(before.process)
    assert rows(ledger)[run_id].status == "running"
    sandbox.control.clear_faults()
    with running_dagster_dev(tmp_path, environment) as after:
        row = wait_for_ending(ledger, run_id)
        assert (row.status, row.phase, row.failure_code) == ("failed", "dependents", "WORKER_LOST")
        wait_until(
            lambda: after.status(run_id) == "FAILURE", limit_seconds=TICKS_SECONDS, what="Dagster is told, too"
        )
        next_id = after.run(CONFIG)
        assert after.wait_for_end(next_id) == "SUCCESS"
    assert result_of(ledger, next_id).completion_status == "succeeded"
    assert_whole(ledger)
