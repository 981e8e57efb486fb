"""A real Dagster instance on one side, a real ledger on the other, and every way in which they can differ."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEventType, DagsterRunStatus

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs import mirror as module
from surgical_pipeline.defs.dagster_runs import worker_tags
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.lifecycle import RunMode, RunStatus, Trigger
from surgical_pipeline.domain.outcomes import EntityOutcome, SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import load_result

SCOPE = Scope.parse("acme/rocket#12!34")
BLOCK = {"project": "acme/rocket", "issue_iids": [12], "mr_iids": [34]}


@pytest.fixture
def ledger(tmp_path: Path) -> DuckDBLedger:
    return DuckDBLedger(tmp_path / "ledger.duckdb")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def looking(instance: dg.DagsterInstance, ledger: DuckDBLedger) -> Mirror:
    return Mirror(instance, ledger)


def make_run(
    instance: dg.DagsterInstance,
    status: DagsterRunStatus = DagsterRunStatus.STARTING,
    *,
    job: str = "surgical_sync_job",
    block: dict[str, object] | None = None,
    tags: dict[str, str] | None = None,
) -> str:
    run = instance.create_run_for_job(
        job_def=defs.resolve_job_def(job),
        run_config={"ops": {"surgical_sync": {"config": BLOCK if block is None else block}}},
        status=status,
        tags=tags,
    )
    return run.run_id


def report(instance: dg.DagsterInstance, run_id: str, what: DagsterEventType) -> None:
    event = dg.DagsterEvent(event_type_value=what.value, job_name="surgical_sync_job")
    instance.report_dagster_event(event, run_id)


def begin(ledger: DuckDBLedger, run_id: str, clock: datetime | None = None) -> SyncRunRecorder:
    """The run's first stage, worked on by this process."""
    recorder = SyncRunRecorder(ledger, run_id, clock=(lambda: clock) if clock else lambda: datetime.now(UTC))
    recorder.start_surgical(SCOPE, mode=RunMode.SURGICAL, trigger=Trigger.LAUNCHPAD)
    return recorder


def move_to(ledger: DuckDBLedger, run_id: str, worker: ProcessIdentity) -> None:
    """Have the row say that another process works on it."""
    with ledger.write("plant") as tx:
        tx._connection.execute(
            "UPDATE sync_runs SET host = $host, pid = $pid, process = $mark WHERE run_id = $run_id",
            {"run_id": run_id, "host": worker.host, "pid": worker.pid, "mark": worker.mark},
        )


def gone_process() -> ProcessIdentity:
    code = "from surgical_pipeline.ledger.process import ProcessIdentity as P; print(P.of_this_process().mark)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        mark = child.communicate()[0].strip()
    return ProcessIdentity(ProcessIdentity.of_this_process().host, child.pid, mark)


def told(ledger: DuckDBLedger, run_id: str) -> SyncResult:
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    assert result is not None
    return result


def dagster_word(ledger: DuckDBLedger, run_id: str) -> object:
    with ledger.read() as tx:
        return tx._connection.execute(
            "SELECT dagster_status FROM sync_runs WHERE run_id = $run_id", {"run_id": run_id}
        ).fetchall()[0][0]


def status_of(instance: dg.DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_queued_run_is_in_the_ledger_before_its_first_op(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    run_id = make_run(instance)
    looking.reconcile()
    result = told(ledger, run_id)
    assert (result.completion_status, result.phase, result.scope) == ("queued", "queued", str(SCOPE))
    assert (result.mode, result.trigger, result.counters.requested) == ("surgical", "launchpad", 2)
    assert dagster_word(ledger, run_id) == "STARTING"
    assert [change.what for change in looking.changes] == ["queued"]


def test_a_partition_is_the_scope_and_makes_a_backfill(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    tags = {"dagster/partition": "acme/rocket#1-3", "dagster/backfill": "x"}
    run_id = make_run(instance, job="surgical_backfill_job", block={}, tags=tags)
    looking.reconcile()
    result = told(ledger, run_id)
    assert (result.scope, result.mode, result.trigger) == ("acme/rocket#1-3", "backfill", "backfill")


def test_other_peoples_jobs_stay_out_of_the_ledger(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    @dg.job
    def another() -> None: ...

    instance.create_run_for_job(job_def=another, status=DagsterRunStatus.STARTING)
    looking.reconcile()
    assert not ledger.exists


def test_a_run_cancelled_in_the_queue_is_cancelled_in_the_ledger(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    run_id = make_run(instance)
    looking.reconcile()
    report(instance, run_id, DagsterEventType.RUN_CANCELED)
    looking.reconcile()
    result = told(ledger, run_id)
    assert (result.completion_status, result.phase) == ("cancelled", "cancelled")
    assert [one.failure.code for one in result.entity_outcomes if one.failure] == ["CANCELLED", "CANCELLED"]
    assert dagster_word(ledger, run_id) == "CANCELED"


def test_a_run_that_failed_before_anybody_looked_gets_its_row(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    run_id = make_run(instance)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run, "Run timed out due to taking longer than 300 seconds to start.")
    looking.reconcile()
    result = told(ledger, run_id)
    assert (result.completion_status, result.phase) == ("failed", "queued")
    assert result.error is not None
    assert (result.error.code, "300 seconds" in result.error.message) == (FailureCode.WORKER_LOST, True)


def test_a_refused_scope_gets_its_row_as_it_was_given(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    tags = {"dagster/partition": "a...b"}
    run_id = make_run(instance, DagsterRunStatus.FAILURE, job="surgical_backfill_job", block={}, tags=tags)
    looking.reconcile()
    result = told(ledger, run_id)
    assert (result.scope, result.completion_status, result.entity_outcomes) == ("refused: a...b", "failed", ())


def test_a_success_that_this_ledger_never_saw_is_left_alone(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    make_run(instance, DagsterRunStatus.SUCCESS)
    looking.reconcile()
    assert not ledger.exists


def test_a_worker_that_is_gone_ends_as_lost_on_both_sides(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    run_id = make_run(instance, DagsterRunStatus.STARTED)
    begin(ledger, run_id)
    move_to(ledger, run_id, gone_process())
    looking.reconcile()
    result = told(ledger, run_id)
    assert result.error is not None
    assert (result.completion_status, result.error.code) == ("failed", FailureCode.WORKER_LOST)
    assert status_of(instance, run_id) is DagsterRunStatus.FAILURE
    assert dagster_word(ledger, run_id) == "FAILURE"
    assert [change.what for change in looking.changes] == ["failed", "reported"]


def test_a_worker_that_is_gone_while_it_was_being_cancelled_ends_as_cancelled(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    run_id = make_run(instance, DagsterRunStatus.CANCELING)
    begin(ledger, run_id)
    move_to(ledger, run_id, gone_process())
    looking.reconcile()
    assert told(ledger, run_id).completion_status == "cancelled"
    assert status_of(instance, run_id) is DagsterRunStatus.CANCELED


@pytest.mark.parametrize(("silent", "status"), [(80, "running"), (100, "failed")])
def test_a_worker_out_of_sight_is_lost_once_its_heartbeat_is_stale(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, silent: float, status: str
) -> None:
    run_id = make_run(instance, DagsterRunStatus.STARTED)
    began = datetime.now(UTC)
    begin(ledger, run_id, began)
    move_to(ledger, run_id, ProcessIdentity("elsewhere", 7, "boot/ns/1"))
    Mirror(instance, ledger, clock=lambda: began + timedelta(seconds=silent)).reconcile()
    assert told(ledger, run_id).completion_status == status


def test_a_slow_worker_that_lives_is_never_given_up(instance: dg.DagsterInstance, ledger: DuckDBLedger) -> None:
    run_id = make_run(instance, DagsterRunStatus.STARTED)
    begin(ledger, run_id)
    Mirror(instance, ledger, clock=lambda: datetime.now(UTC) + timedelta(days=2)).reconcile()
    assert told(ledger, run_id).completion_status == "running"
    assert status_of(instance, run_id) is DagsterRunStatus.STARTED


def test_a_command_killed_before_its_first_stage_is_lost(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    run_id = make_run(instance, DagsterRunStatus.NOT_STARTED, tags=worker_tags(gone_process()))
    looking.reconcile()
    result = told(ledger, run_id)
    assert result.error is not None
    assert (result.completion_status, result.error.code) == ("failed", FailureCode.WORKER_LOST)
    assert status_of(instance, run_id) is DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("ending", "word"),
    [
        (RunStatus.SUCCEEDED, DagsterRunStatus.SUCCESS),
        (RunStatus.SUCCEEDED_WITH_WARNINGS, DagsterRunStatus.SUCCESS),
        (RunStatus.CANCELLED, DagsterRunStatus.CANCELED),
    ],
)
def test_dagster_hears_of_an_ending_whose_process_died_before_it_could_say_so(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror, ending: RunStatus, word: DagsterRunStatus
) -> None:
    run_id = make_run(instance, DagsterRunStatus.STARTED)
    recorder = begin(ledger, run_id)
    assert getattr(recorder, f"finish_{ending}")()
    looking.reconcile()
    assert status_of(instance, run_id) is DagsterRunStatus.STARTED, "the process may be winding up"
    move_to(ledger, run_id, gone_process())
    looking.reconcile()
    assert status_of(instance, run_id) is word
    assert told(ledger, run_id).completion_status == ending


def test_the_code_that_a_stage_raised_comes_from_dagsters_log_where_the_ledger_could_not_be_told(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    @dg.op
    def preflight() -> None:
        raise dg.Failure("LEDGER_ERROR: the disk was full", metadata={"code": "LEDGER_ERROR"})

    @dg.job(name="surgical_sync_job")
    def failing() -> None:
        preflight()

    run_id = failing.execute_in_process(instance=instance, raise_on_error=False).run_id
    begin(ledger, run_id)
    looking.reconcile()
    error = told(ledger, run_id).error
    assert error is not None
    assert (error.code, error.message) == (FailureCode.LEDGER_ERROR, "the disk was full")


def test_an_error_of_dagsters_own_is_told_as_it_is(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    @dg.op
    def preflight() -> None:
        raise ImportError("no module named gitlab_things")

    @dg.job(name="surgical_sync_job")
    def failing() -> None:
        preflight()

    run_id = failing.execute_in_process(instance=instance, raise_on_error=False).run_id
    begin(ledger, run_id)
    looking.reconcile()
    error = told(ledger, run_id).error
    assert error is not None
    assert error.code is FailureCode.INTERNAL_ERROR
    assert "gitlab_things" in error.message


def test_a_run_of_which_only_some_stages_were_selected_does_not_stay_open(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror
) -> None:
    run_id = make_run(instance, DagsterRunStatus.STARTED)
    recorder = begin(ledger, run_id)
    with recorder.window("ingest") as tx:
        one = EntityOutcome(entity_type=next(SCOPE.keys()).entity_type, iid=12, fetched=True, ingested=True)
        recorder.save_outcomes(tx, [one])
    report(instance, run_id, DagsterEventType.RUN_SUCCESS)
    looking.reconcile()
    assert told(ledger, run_id).completion_status == "failed"


def test_every_run_is_brought_over_page_by_page(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, looking: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_SIZE", 2)
    runs = [make_run(instance) for _ in range(5)]
    cursor = looking.reconcile()
    assert [told(ledger, run_id).completion_status for run_id in runs] == ["queued"] * 5
    late = make_run(instance)
    assert looking.reconcile(cursor) >= cursor, "whole seconds: both can fall into one"
    assert told(ledger, late).completion_status == "queued"


def test_a_second_look_changes_nothing(instance: dg.DagsterInstance, ledger: DuckDBLedger) -> None:
    run_id = make_run(instance)
    cursor = Mirror(instance, ledger).reconcile()
    before = told(ledger, run_id)
    again = Mirror(instance, ledger)
    windows = ledger.stats.windows
    again.reconcile(cursor)
    assert (again.changes, told(ledger, run_id)) == ([], before)
    assert ledger.stats.windows - windows <= 3, "reading alone"


def test_the_sensor_goes_on_from_its_cursor(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SURGICAL_LEDGER", str(ledger.path))
    run_id = make_run(instance)
    context = dg.build_sensor_context(instance=instance)
    answer = defs.resolve_sensor_def("mirror")(context)
    assert isinstance(answer, dg.SkipReason)
    assert f"{run_id[:8]} queued" in str(answer.skip_message)
    assert context.cursor is not None
    again = defs.resolve_sensor_def("mirror")(dg.build_sensor_context(instance=instance, cursor=context.cursor))
    assert isinstance(again, dg.SkipReason)
    assert again.skip_message == "The ledger and Dagster agree."
