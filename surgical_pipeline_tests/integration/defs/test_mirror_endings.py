"""Runs that ended on one side alone: the mirror ends them on the other, and never a run that lives."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus

from surgical_pipeline.defs.dagster_runs import worker_tags
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline_tests.integration.defs.two_sides import SCOPE, TwoSides, gone_process


def test_a_worker_that_is_gone_ends_as_lost_on_both_sides(sides: TwoSides) -> None:
    run_id = sides.make_run(DagsterRunStatus.STARTED)
    sides.begin(run_id)
    sides.lose_worker(run_id)
    changes = sides.reconcile()
    assert sides.result(run_id).completion_status == "failed"
    assert sides.error(run_id).code is FailureCode.WORKER_LOST
    assert sides.dagster_status(run_id) is DagsterRunStatus.FAILURE
    assert sides.dagster_word(run_id) == "FAILURE"
    assert [change.what for change in changes] == ["failed", "reported"]


def test_a_worker_that_is_gone_while_it_was_being_cancelled_ends_as_cancelled(sides: TwoSides) -> None:
    run_id = sides.make_run(DagsterRunStatus.CANCELING)
    sides.begin(run_id)
    sides.lose_worker(run_id)
    sides.reconcile()
    assert sides.result(run_id).completion_status == "cancelled"
    assert sides.dagster_status(run_id) is DagsterRunStatus.CANCELED


@pytest.mark.parametrize(("silent", "status"), [(80, "running"), (100, "failed")])
def test_a_worker_out_of_sight_is_lost_once_its_heartbeat_is_stale(
    sides: TwoSides, silent: float, status: str
) -> None:
    run_id = sides.make_run(DagsterRunStatus.STARTED)
    began = datetime.now(UTC)
    sides.begin(run_id, lambda: began)
    sides.move_to(ProcessIdentity("elsewhere", 7, "boot/ns/1"), run_id)
    sides.reconcile(clock=lambda: began + timedelta(seconds=silent))
    assert sides.result(run_id).completion_status == status


def test_a_slow_worker_that_lives_is_never_given_up(sides: TwoSides) -> None:
    run_id = sides.make_run(DagsterRunStatus.STARTED)
    sides.begin(run_id)
    sides.reconcile(clock=lambda: datetime.now(UTC) + timedelta(days=2))
    assert sides.result(run_id).completion_status == "running"
    assert sides.dagster_status(run_id) is DagsterRunStatus.STARTED


def test_a_command_killed_before_its_first_stage_is_lost(sides: TwoSides) -> None:
    run_id = sides.make_run(DagsterRunStatus.NOT_STARTED, tags=worker_tags(gone_process()))
    sides.reconcile()
    assert sides.result(run_id).completion_status == "failed"
    assert sides.error(run_id).code is FailureCode.WORKER_LOST
    assert sides.dagster_status(run_id) is DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("ending", "word"),
    [
        (RunStatus.SUCCEEDED, DagsterRunStatus.SUCCESS),
        (RunStatus.SUCCEEDED_WITH_WARNINGS, DagsterRunStatus.SUCCESS),
        (RunStatus.CANCELLED, DagsterRunStatus.CANCELED),
    ],
)
def test_dagster_hears_of_an_ending_whose_process_died_before_it_could_say_so(
    sides: TwoSides, ending: RunStatus, word: DagsterRunStatus
) -> None:
    run_id = sides.make_run(DagsterRunStatus.STARTED)
    recorder = sides.begin(run_id)
    assert getattr(recorder, f"finish_{ending}")()
    sides.reconcile()
    assert sides.dagster_status(run_id) is DagsterRunStatus.STARTED, "the process may be winding up"
    sides.lose_worker(run_id)
    sides.reconcile()
    assert sides.dagster_status(run_id) is word
    assert sides.result(run_id).completion_status == ending


def test_the_code_that_a_stage_raised_comes_from_dagsters_log_where_the_ledger_could_not_be_told(
    sides: TwoSides,
) -> None:
    run_id = sides.fail_inside(dg.Failure("LEDGER_ERROR: the disk was full", metadata={"code": "LEDGER_ERROR"}))
    sides.reconcile()
    error = sides.error(run_id)
    assert (error.code, error.message) == (FailureCode.LEDGER_ERROR, "the disk was full")


def test_an_error_of_dagsters_own_is_told_as_it_is(sides: TwoSides) -> None:
    run_id = sides.fail_inside(ImportError("no module named gitlab_things"))
    sides.reconcile()
    error = sides.error(run_id)
    assert error.code is FailureCode.INTERNAL_ERROR
    assert "gitlab_things" in error.message


def test_a_run_of_which_only_some_stages_were_selected_does_not_stay_open(sides: TwoSides) -> None:
    run_id = sides.make_run(DagsterRunStatus.STARTED)
    recorder = sides.begin(run_id)
    with recorder.window("ingest") as tx:
        one = EntityOutcome(entity_type=next(SCOPE.keys()).entity_type, iid=12, fetched=True, ingested=True)
        recorder.save_outcomes(tx, [one])
    sides.report(run_id, DagsterEventType.RUN_SUCCESS)
    sides.reconcile()
    assert sides.result(run_id).completion_status == "failed"
