import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase, RunMode, RunStatus, Trigger
from surgical_pipeline.domain.outcomes import Counters, EntityOutcome, HttpStats, SyncResult
from surgical_pipeline.domain.scope import EntityType, Scope
from surgical_pipeline.ledger.duckdb.checkpoints import CheckpointPolicy
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import AmbiguousRunError
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import find_run, list_runs, load_result, queue_run, set_dagster_status
from surgical_pipeline_tests.integration.ledger.examples import HandClock, at, run_sql, start

LATE = Failure(code=FailureCode.TIMEOUT, message="too slow", stage="dependents", dependent="discussions")
GONE = Failure(code=FailureCode.NOT_FOUND, message="no such issue", stage="preflight")


def test_the_whole_result_can_be_told_from_the_ledger_alone(ledger: Ledger, clock: HandClock) -> None:
    recorder = SyncRunRecorder(ledger, "run-1", clock=clock)
    recorder.start_surgical(
        Scope.parse("77#1+2"),
        mode=RunMode.BACKFILL,
        trigger=Trigger.SENSOR,
        queued_at=at(-9),
        parent_run_id="run-0",
    )
    recorder.set_project(77, "acme/rocket")
    if isinstance(ledger, DuckDBLedger):
        ledger._engine.checkpoints = CheckpointPolicy(price_ms=1e9)  # one would be a window more
    recorder.set_phase(Phase.EMBED)
    recorder.count_requests(HttpStats(requests=9, retries=2, rate_limited=1))
    good = EntityOutcome(
        entity_type=EntityType.ISSUE, iid=1, fetched=True, ingested=True, settled=True, dependent_failures=(LATE,)
    )
    with recorder.window("save") as tx:
        recorder.save_outcomes(tx, [good, EntityOutcome(entity_type=EntityType.ISSUE, iid=2, failure=GONE)])
        recorder.set_counters(Counters(requested=2, fetched=1, ingested=1, failed=1, dependent_failures=1), tx)
    clock.advance(1.25)
    assert recorder.finish_succeeded_with_warnings()
    with ledger.read() as tx:
        result = load_result(tx, "run-1")
    assert result is not None
    assert SyncResult.model_validate_json(result.model_dump_json()) == result
    assert (result.parent_run_id, result.mode, result.trigger, result.scope) == (
        "run-0",
        "backfill",
        "sensor",
        "77#1+2",
    )
    assert (result.project.id, result.project.path) == (77, "acme/rocket")
    assert (result.completion_status, result.phase, result.error) == ("succeeded_with_warnings", "done", None)
    assert (result.started_at, result.finished_at, result.duration_ms) == (at(0), at(1.25), 1250)
    assert (result.warnings_count, result.counters.failed) == (2, 1)
    assert result.http == HttpStats(requests=9, retries=2, rate_limited=1)
    assert result.lock.windows == 4
    assert 0 < result.lock.longest_held_ms < result.lock.held_ms
    assert [report.entity for report in result.entity_outcomes] == ["acme/rocket#1", "acme/rocket#2"]
    assert [(one.entity, one.code, one.dependent, one.retryable) for one in result.entity_failures] == [
        ("acme/rocket#1", FailureCode.TIMEOUT, "discussions", True),
        ("acme/rocket#2", FailureCode.NOT_FOUND, None, False),
    ]
    assert all(one.hint == one.code.advice for one in result.entity_failures)


def test_an_unknown_run_has_no_result(ledger: Ledger) -> None:
    start(ledger, "run-1")
    with ledger.read() as tx:
        assert load_result(tx, "run") is None


def test_runs_are_listed_newest_first_and_by_status(ledger: Ledger) -> None:
    for number in range(4):
        start(ledger, f"run-{number}", clock=HandClock(at(10 * number)))
    SyncRunRecorder(ledger, "run-1").finish_cancelled()
    with ledger.write("queue") as tx:
        scope = Scope.parse("acme/rocket#1")
        queue_run(tx, "run-q", scope=scope, mode=RunMode.SURGICAL, trigger=Trigger.CLI, queued_at=at(25))
    with ledger.read() as tx:
        assert [run.run_id for run in list_runs(tx, limit=9)] == ["run-3", "run-q", "run-2", "run-1", "run-0"]
        assert [run.run_id for run in list_runs(tx, limit=2)] == ["run-3", "run-q"]
        assert [run.run_id for run in list_runs(tx, limit=9, status=RunStatus.CANCELLED)] == ["run-1"]
        (queued,) = list_runs(tx, limit=9, status=RunStatus.QUEUED)
    assert (queued.started_at, queued.pid, queued.phase, queued.requested) == (None, None, Phase.QUEUED, 1)


def test_a_run_is_found_by_its_id_or_the_beginning_of_it(ledger: Ledger) -> None:
    for run_id in ("ab1", "ab12", "cd_3", "cdx3"):
        start(ledger, run_id)
    with ledger.read() as tx:
        found = {prefix: find_run(tx, prefix) for prefix in ("ab1", "ab12", "cd_", "zz", "")}
        with pytest.raises(AmbiguousRunError, match="Several runs begin with 'ab'") as caught:
            find_run(tx, "ab")
    assert {prefix: run and run.run_id for prefix, run in found.items()} == {
        "ab1": "ab1",
        "ab12": "ab12",
        "cd_": "cd_3",
        "zz": None,
        "": None,
    }
    assert set(caught.value.candidates) == {"ab1", "ab12"}


def test_dagsters_word_is_brought_over_also_after_the_end(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1")
    recorder.finish_cancelled()
    with ledger.write("mirror") as tx:
        assert set_dagster_status(tx, "run-1", "CANCELED")
        assert not set_dagster_status(tx, "run-1", "CANCELED")
        assert not set_dagster_status(tx, "nobody", "CANCELED")
        run = find_run(tx, "run-1")
    assert run is not None
    assert (run.dagster_status, run.status) == ("CANCELED", RunStatus.CANCELLED)


@pytest.mark.parametrize(
    "impossible",
    [
        "status = 'succeeded'",
        "status = 'cancelled', finished_at = now()",
        "phase = 'cancelled'",
        "finished_at = now()",
        "phase = 'queued'",
        "status = 'queued'",
        "failure_code = 'TIMEOUT'",
        "status = 'paused'",
        "heartbeat_at = NULL",
    ],
)
def test_the_schema_refuses_impossible_states(ledger: Ledger, impossible: str) -> None:
    start(ledger, "run-1")
    with pytest.raises(Exception, match=r"(?i)check constraint"), ledger.write("tamper") as tx:
        run_sql(tx, f"UPDATE sync_runs SET {impossible}")
