"""Runs that a person deletes in Dagster's UI, under a real `dagster dev`."""

from pathlib import Path

import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import HELD, DagsterDev, wait_until
from surgical_pipeline_tests.ledger_gate import rows
from surgical_pipeline_tests.run_watch import TICKS_SECONDS, assert_whole, wait_for_ending

pytestmark = pytest.mark.dagster_dev

_DELETE = "mutation ($id: String!) { deleteRun(runId: $id) { __typename } }"


def test_a_queued_run_that_is_deleted_in_the_ui_ends_as_cancelled(
    dev: DagsterDev, dev_ledger: Path, sandbox: RunningSandbox
) -> None:
    run_id = dev.run({"project": "acme/rocket", "issue_iids": [12]}, tags=HELD)
    wait_until(
        lambda: dev_ledger.exists() and run_id in rows(dev_ledger),
        limit_seconds=TICKS_SECONDS,
        what="the queued run has its row",
    )
    assert dev.graphql(_DELETE, id=run_id)["deleteRun"]["__typename"] == "DeletePipelineRunSuccess"
    row = wait_for_ending(dev_ledger, run_id)
    assert (row.status, row.failure_code) == ("cancelled", "CANCELLED")
    assert "was deleted in Dagster" in row.values["failure_message"]
    assert_whole(dev_ledger)
    assert not sandbox.control.requests().requests
