"""A run that others end, and a run that goes on where another failed."""

import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase, RunMode, RunStatus, Trigger
from surgical_pipeline.domain.outcomes import Counters, EntityOutcome, SyncResult
from surgical_pipeline.domain.scope import EntityType, Scope
from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.errors import RunLostError
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import RunSummary, find_run, load_result, queue_run
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, HandClock, at, read_sql, start

BROKEN = Failure(code=FailureCode.WORKER_LOST, message="it is gone", stage="ingest")


def result_of(ledger: Ledger, run_id: str = "run-1") -> SyncResult:
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    assert result is not None
    return result


def seen(ledger: Ledger, run_id: str = "run-1") -> RunSummary:
    with ledger.read() as tx:
        run = find_run(tx, run_id)
    assert run is not None
    return run


def test_a_run_that_gave_a_sign_of_life_since_it_was_seen_is_not_ended(ledger: Ledger, clock: HandClock) -> None:
    run = start(ledger, "run-1", clock=clock)
    before = seen(ledger)
    clock.advance(100)
    reaper = SyncRunRecorder(ledger, "run-1", clock=clock)
    assert run.heartbeat_if_due()
    assert not reaper.finish_failed(BROKEN, if_silent_since=before)
    assert not reaper.finish_cancelled(if_silent_since=before)
    assert seen(ledger).status is RunStatus.RUNNING
    assert reaper.finish_failed(BROKEN, if_silent_since=seen(ledger))


def test_a_queued_run_that_began_since_it_was_seen_is_not_ended(ledger: Ledger, clock: HandClock) -> None:
    with ledger.write("queue") as tx:
        scope = Scope.parse("acme/rocket#1+2!3")
        queue_run(tx, "run-1", scope=scope, mode=RunMode.SURGICAL, trigger=Trigger.SENSOR, queued_at=at(-60))
    before = seen(ledger)
    start(ledger, "run-1", clock=clock)
    assert not SyncRunRecorder(ledger, "run-1").finish_failed(BROKEN, if_silent_since=before)


def test_a_reaped_run_that_wakes_up_and_fails_is_told_that_it_is_lost(ledger: Ledger, clock: HandClock) -> None:
    run = start(ledger, "run-1", clock=clock)
    assert SyncRunRecorder(ledger, "run-1").finish_failed(BROKEN, if_silent_since=seen(ledger))
    before = result_of(ledger)
    late = Failure(code=FailureCode.TIMEOUT, message="the time budget ran out", stage="preflight")
    with pytest.raises(RunLostError), run.window("failures") as tx:
        run.save_outcomes(tx, [EntityOutcome(entity_type=EntityType.ISSUE, iid=1, failure=late)])
    assert result_of(ledger) == before


def test_a_reaped_run_that_wakes_up_writes_nothing_more(ledger: Ledger, clock: HandClock) -> None:
    run = start(ledger, "run-1", clock=clock)
    assert SyncRunRecorder(ledger, "run-1").finish_failed(BROKEN, if_silent_since=seen(ledger))
    before = result_of(ledger)
    with pytest.raises(RunLostError), run.window("ingest") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
    with pytest.raises(RunLostError):
        run.set_phase(Phase.INGEST)
    assert not run.finish_succeeded()
    assert run.ended_as is None
    assert result_of(ledger) == before
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT count(*) FROM projects") == [(0,)]


def test_a_run_that_goes_on_takes_over_its_parents_outcomes(ledger: Ledger, clock: HandClock) -> None:
    parent = start(ledger, "run-1", "acme/rocket#1+2!3", clock=clock)
    done = EntityOutcome(entity_type=EntityType.ISSUE, iid=1, fetched=True, ingested=True)
    with parent.window("ingest") as tx:
        parent.save_outcomes(tx, [done])
        parent.set_phase(Phase.DEPENDENTS, tx)
    assert parent.finish_failed(BROKEN.model_copy(update={"stage": "dependents"}))
    again = SyncRunRecorder(ledger, "run-2", clock=clock)
    again.start_surgical(
        Scope.parse("acme/rocket#1!3"),
        mode=RunMode.SURGICAL,
        trigger=Trigger.LAUNCHPAD,
        parent_run_id="run-1",
        phase=Phase.DEPENDENTS,
    )
    result = result_of(ledger, "run-2")
    assert (result.parent_run_id, result.phase, result.project.id) == ("run-1", "dependents", PROJECT.project_id)
    assert result.counters == Counters(requested=2, fetched=1, ingested=1)
    assert [(one.entity, one.ingested, one.failure) for one in result.entity_outcomes] == [
        ("acme/rocket#1", True, None),
        ("acme/rocket!3", False, None),
    ]
    assert [(one.iid, one.ingested) for one in again.outcomes()] == [(1, True), (3, False)]
    assert again.conclude() is RunStatus.SUCCEEDED


def test_a_run_that_goes_on_without_a_parent_in_the_ledger_has_everything_open(ledger: Ledger) -> None:
    SyncRunRecorder(ledger, "run-2").start_surgical(
        Scope.parse("acme/rocket#1"),
        mode=RunMode.SURGICAL,
        trigger=Trigger.LAUNCHPAD,
        parent_run_id="run-1",
        phase=Phase.EMBED,
    )
    assert result_of(ledger, "run-2").counters == Counters(requested=1)
