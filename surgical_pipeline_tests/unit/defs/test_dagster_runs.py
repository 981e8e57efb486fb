import dagster as dg
import pytest

from surgical_pipeline.defs.dagster_runs import NOT_FINISHED

# Dagster makes no queued run without a code location.
STATUSES = [status for status in dg.DagsterRunStatus if status is not dg.DagsterRunStatus.QUEUED]


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_is_not_finished_where_dagster_says_that_a_run_is_not(status: dg.DagsterRunStatus) -> None:
    run = dg.DagsterRun(job_name="any", status=status)
    assert (status in NOT_FINISHED) is not run.is_finished


def test_a_queued_run_is_not_finished() -> None:
    assert dg.DagsterRunStatus.QUEUED in NOT_FINISHED
