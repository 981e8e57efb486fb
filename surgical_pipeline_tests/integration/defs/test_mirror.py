"""Which runs of Dagster's the mirror brings into the ledger, and how it looks for them."""

import os
from datetime import timedelta

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs import run_pages as module
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.runs import find_run, ledger_name
from surgical_pipeline_tests.integration.defs.two_sides import SCOPE, TwoSides


def test_a_queued_run_is_in_the_ledger_before_its_first_op(sides: TwoSides) -> None:
    run_id = sides.make_run()
    changes = sides.reconcile()
    result = sides.result(run_id)
    assert (result.completion_status, result.phase, result.scope) == ("queued", "queued", str(SCOPE))
    assert (result.mode, result.trigger, result.counters.requested) == ("surgical", "launchpad", 2)
    assert sides.dagster_word(run_id) == "STARTING"
    assert [change.what for change in changes] == ["queued"]


def test_a_partition_is_the_scope_and_makes_a_backfill(sides: TwoSides) -> None:
    tags = {"dagster/partition": "acme/rocket#1-3", "dagster/backfill": "x"}
    run_id = sides.make_run(job="surgical_backfill_job", block={}, tags=tags)
    sides.reconcile()
    result = sides.result(run_id)
    assert (result.scope, result.mode, result.trigger) == ("acme/rocket#1-3", "backfill", "backfill")


def test_what_a_machine_whose_clock_is_a_day_behind_told_dagster_is_brought_over(sides: TwoSides) -> None:
    run_id = sides.make_run()
    mirror = Mirror(sides.instance, sides.ledger)
    cursor = mirror.reconcile()
    sides.begin(run_id).finish_succeeded()
    yesterday = (utc_now() - timedelta(days=1)).timestamp()
    event = dg.DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "surgical_sync_job")
    sides.instance.report_dagster_event(event, run_id, timestamp=yesterday)
    mirror.reconcile(cursor)
    assert sides.dagster_word(run_id) == "SUCCESS"


@pytest.mark.parametrize("days", [-1, 1])
def test_a_run_that_just_started_on_a_machine_with_a_wrong_clock_is_not_lost(sides: TwoSides, days: int) -> None:
    run_id = sides.make_run(DagsterRunStatus.NOT_STARTED)
    for what, off in ((DagsterEventType.RUN_STARTING, 0), (DagsterEventType.RUN_START, days)):
        at = (utc_now() + timedelta(days=off)).timestamp()
        event = dg.DagsterEvent(what.value, "surgical_sync_job")
        sides.instance.report_dagster_event(event, run_id, timestamp=at)
    sides.reconcile()
    assert sides.result(run_id).completion_status == "queued"
    changes = sides.reconcile(lambda: utc_now() + timedelta(minutes=61))
    assert [change.what for change in changes] == ["failed", "reported"]
    assert "WORKER_LOST" in changes[0].detail


def test_other_peoples_jobs_stay_out_of_the_ledger(sides: TwoSides) -> None:
    @dg.job
    def another() -> None: ...

    sides.instance.create_run_for_job(job_def=another, status=DagsterRunStatus.STARTING)
    sides.reconcile()
    assert not sides.ledger.exists


def test_a_run_cancelled_in_the_queue_is_cancelled_in_the_ledger(sides: TwoSides) -> None:
    run_id = sides.make_run()
    sides.reconcile()
    sides.report(run_id, DagsterEventType.RUN_CANCELED)
    sides.reconcile()
    result = sides.result(run_id)
    assert (result.completion_status, result.phase) == ("cancelled", "cancelled")
    assert [one.failure.code for one in result.entity_outcomes if one.failure] == ["CANCELLED", "CANCELLED"]
    assert sides.dagster_word(run_id) == "CANCELED"


def test_a_run_that_failed_before_anybody_looked_gets_its_row(sides: TwoSides) -> None:
    run_id = sides.make_run()
    run = sides.instance.get_run_by_id(run_id)
    assert run is not None
    sides.instance.report_run_failed(run, "Run timed out due to taking longer than 300 seconds to start.")
    sides.reconcile()
    result = sides.result(run_id)
    assert (result.completion_status, result.phase) == ("failed", "queued")
    error = sides.error(run_id)
    assert (error.code, "300 seconds" in error.message) == (FailureCode.WORKER_LOST, True)


def test_a_refused_scope_gets_its_row_as_it_was_given(sides: TwoSides) -> None:
    tags = {"dagster/partition": "a...b"}
    run_id = sides.make_run(DagsterRunStatus.FAILURE, job="surgical_backfill_job", block={}, tags=tags)
    sides.reconcile()
    result = sides.result(run_id)
    assert (result.scope, result.completion_status, result.entity_outcomes) == ("refused: a...b", "failed", ())


def test_a_success_that_this_ledger_never_saw_is_left_alone(sides: TwoSides) -> None:
    sides.make_run(DagsterRunStatus.SUCCESS)
    sides.reconcile()
    assert not sides.ledger.exists


def test_every_run_is_brought_over_page_by_page(sides: TwoSides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_SIZE", 2)
    runs = [sides.make_run() for _ in range(5)]
    mirror = Mirror(sides.instance, sides.ledger)
    cursor = mirror.reconcile()
    assert [sides.result(run_id).completion_status for run_id in runs] == ["queued"] * 5
    late = sides.make_run()
    assert mirror.reconcile(cursor) >= cursor, "whole seconds: both can fall into one"
    assert sides.result(late).completion_status == "queued"


def test_a_clock_that_was_set_back_hides_no_run(sides: TwoSides) -> None:
    """The last look was at a time that is yet to come: what changes now looks older than what it saw."""
    run_id = sides.make_run(DagsterRunStatus.FAILURE)
    cursor = Mirror(sides.instance, sides.ledger).reconcile(utc_now() + timedelta(minutes=10))
    assert sides.result(run_id).completion_status == "failed"
    assert cursor <= utc_now()


def test_a_second_look_changes_nothing(sides: TwoSides) -> None:
    run_id = sides.make_run()
    cursor = Mirror(sides.instance, sides.ledger).reconcile()
    before = sides.result(run_id)
    again = Mirror(sides.instance, sides.ledger)
    windows = sides.ledger.stats.windows
    again.reconcile(cursor)
    assert (again.changes, sides.result(run_id)) == ([], before)
    assert sides.ledger.stats.windows - windows <= 3, "reading alone"


def test_the_sensor_goes_on_from_its_cursor(sides: TwoSides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SURGICAL_LEDGER", str(sides.ledger.path))
    run_id = sides.make_run()
    sensor, context = defs.resolve_sensor_def("mirror"), dg.build_sensor_context(instance=sides.instance)
    answer = sensor(context)
    assert isinstance(answer, dg.SkipReason)
    assert f"{run_id[:8]} queued" in str(answer.skip_message)
    assert context.cursor is not None
    again = sensor(dg.build_sensor_context(instance=sides.instance, cursor=context.cursor))
    assert isinstance(again, dg.SkipReason)
    assert again.skip_message == "The ledger and Dagster agree."


def test_a_success_of_before_the_ledgers_name_was_hidden_is_brought_back(sides: TwoSides) -> None:
    """It succeeded in this ledger, whose file is now an older copy."""
    known = sides.make_run()
    sides.begin(known).finish_succeeded()
    with sides.ledger.read() as tx:
        name = ledger_name(tx)
    lost = sides.make_run(DagsterRunStatus.SUCCESS, tags={"surgical/ledger": name})
    elsewhere = sides.make_run(DagsterRunStatus.SUCCESS, tags={"surgical/ledger": "another"})
    Mirror(sides.instance, sides.ledger).bring_back()
    with sides.ledger.read() as tx:
        assert find_run(tx, lost) is not None
        assert find_run(tx, elsewhere) is None


def test_a_queued_run_of_events_says_up_to_which(sides: TwoSides) -> None:
    run_id = sides.make_run(tags={"surgical/trigger": "webhook", "surgical/events": "2 events, up to 9"})
    sides.reconcile()
    with sides.ledger.read() as tx:
        found = find_run(tx, run_id)
    assert found is not None
    assert (found.mode, found.trigger, found.events_upto) == ("incremental", "sensor", 9)
