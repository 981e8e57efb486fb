"""Runs whose stages have a process each, on a machine that the mirror cannot see."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus
from dagster._core.events import StepSuccessData
from dagster._core.utils import make_new_run_id

from surgical_pipeline.defs.asset_keys import ASSETS
from surgical_pipeline.defs.dagster_runs import OWN_PROCESSES
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline_tests.integration.defs.two_sides import BLOCK, TwoSides

ELSEWHERE = ProcessIdentity("elsewhere", 7, None)


def tell(sides: TwoSides, run_id: str, what: DagsterEventType, step: str) -> None:
    """Have Dagster's log say it of a step."""
    done = StepSuccessData(duration_ms=1.0) if what is DagsterEventType.STEP_SUCCESS else None
    event = dg.DagsterEvent(
        event_type_value=what.value, job_name="surgical_sync_job", step_key=step, event_specific_data=done
    )
    sides.instance.report_dagster_event(event, run_id)


def begun(sides: TwoSides, when: datetime) -> str:
    run_id = sides.make_run(DagsterRunStatus.STARTED, tags=OWN_PROCESSES)
    sides.begin(run_id, lambda: when)
    sides.move_to(ELSEWHERE, run_id)
    tell(sides, run_id, DagsterEventType.STEP_START, "surgical_sync.preflight")
    return run_id


@pytest.mark.parametrize(("silent", "status"), [(100, "running"), (3_500, "running"), (3_700, "failed")])
def test_between_two_stages_a_run_may_be_silent(sides: TwoSides, silent: float, status: str) -> None:
    began = datetime.now(UTC)
    run_id = begun(sides, began)
    tell(sides, run_id, DagsterEventType.STEP_SUCCESS, "surgical_sync.preflight")
    tell(sides, run_id, DagsterEventType.STEP_START, "their_step")
    sides.reconcile(clock=lambda: began + timedelta(seconds=silent))
    assert sides.result(run_id).completion_status == status


def test_in_a_stage_it_may_not(sides: TwoSides) -> None:
    began = datetime.now(UTC)
    run_id = begun(sides, began)
    sides.reconcile(clock=lambda: began + timedelta(seconds=100))
    assert sides.result(run_id).completion_status == "failed"


@pytest.mark.parametrize(
    ("theirs", "said"), [((), DagsterRunStatus.SUCCESS), (("theirs",), DagsterRunStatus.STARTED)]
)
def test_a_run_that_others_share_is_not_ended_in_dagster_because_ours_is_over(
    sides: TwoSides, theirs: tuple[str, ...], said: DagsterRunStatus
) -> None:
    """Somebody else's steps may go on for hours."""
    run = dg.DagsterRun(
        job_name="__ASSET_JOB",
        run_id=make_new_run_id(),
        run_config={"ops": {"surgical_sync": {"config": BLOCK}}},
        status=DagsterRunStatus.STARTED,
        asset_selection=frozenset([*ASSETS, *map(dg.AssetKey, theirs)]),
    )
    sides.instance.add_run(run)
    began = datetime.now(UTC)
    recorder = sides.begin(run.run_id, lambda: began)
    sides.move_to(ELSEWHERE, run.run_id)
    assert recorder.finish_succeeded()
    sides.reconcile(clock=lambda: began + timedelta(hours=1))
    assert sides.result(run.run_id).completion_status == RunStatus.SUCCEEDED
    assert sides.dagster_status(run.run_id) is said
