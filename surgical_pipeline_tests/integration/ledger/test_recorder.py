import asyncio
import os
from collections.abc import Callable

import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import STAGES, Phase, RunMode, RunStatus, Trigger
from surgical_pipeline.domain.outcomes import Counters, EntityOutcome, HttpStats, SyncResult
from surgical_pipeline.domain.scope import EntityType, Scope
from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.errors import RunLostError
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import find_run, load_result, queue_run
from surgical_pipeline_tests.integration.ledger.examples import NOON, PROJECT, HandClock, at, read_sql, start

BROKEN = Failure(code=FailureCode.SERVER_ERROR, message="GitLab answered 500.", stage="ingest")
LATE = Failure(code=FailureCode.TIMEOUT, message="too slow", stage="dependents", dependent="discussions")

ENDINGS: dict[RunStatus, Callable[[SyncRunRecorder], bool]] = {
    RunStatus.SUCCEEDED: SyncRunRecorder.finish_succeeded,
    RunStatus.SUCCEEDED_WITH_WARNINGS: SyncRunRecorder.finish_succeeded_with_warnings,
    RunStatus.FAILED: lambda recorder: recorder.finish_failed(BROKEN),
    RunStatus.CANCELLED: SyncRunRecorder.finish_cancelled,
}


def result_of(ledger: Ledger, run_id: str = "run-1") -> SyncResult:
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    assert result is not None
    return result


def queue(ledger: Ledger, run_id: str, scope: str = "acme/rocket#1+2!3") -> bool:
    with ledger.write("queue") as tx:
        return queue_run(
            tx, run_id, scope=Scope.parse(scope), mode=RunMode.SURGICAL, trigger=Trigger.SENSOR, queued_at=at(-60)
        )


def phases(ledger: Ledger) -> list[tuple[object, ...]]:
    with ledger.read() as tx:
        return read_sql(
            tx,
            "SELECT phase, EXTRACT(EPOCH FROM started_at - $noon), EXTRACT(EPOCH FROM finished_at - $noon), "
            "lock_windows, http_requests "
            "FROM sync_run_phases ORDER BY started_at, finished_at NULLS LAST",
            noon=NOON,
        )


def test_a_new_run_starts_in_preflight_with_a_pending_outcome_for_each_entity(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1", "acme/rocket#1+2!3")
    result = result_of(ledger)
    assert (result.completion_status, result.phase, result.scope) == ("running", "preflight", "acme/rocket#1+2!3")
    assert result.counters == Counters(requested=3)
    assert [report.entity for report in result.entity_outcomes] == [
        "acme/rocket#1",
        "acme/rocket#2",
        "acme/rocket!3",
    ]
    assert all(report.failure is None and not report.fetched for report in result.entity_outcomes)
    keys = Scope.parse("acme/rocket#1+2!3").keys()
    assert recorder.outcomes() == [EntityOutcome(entity_type=key.entity_type, iid=key.iid) for key in keys]
    with ledger.read() as tx:
        run = find_run(tx, "run-1")
    assert run is not None
    assert run.pid == os.getpid()
    assert run.host


def test_a_queued_run_is_taken_over_and_keeps_when_it_was_queued(ledger: Ledger) -> None:
    assert queue(ledger, "run-1", "acme/rocket#1+9")
    assert not queue(ledger, "run-1")
    assert result_of(ledger).completion_status == "queued"
    start(ledger, "run-1", "acme/rocket#1+2")
    assert [report.iid for report in result_of(ledger).entity_outcomes] == [1, 2]
    with ledger.read() as tx:
        run = find_run(tx, "run-1")
    assert run is not None
    assert (run.status, run.queued_at, run.started_at) == (RunStatus.RUNNING, at(-60), at(0))


@pytest.mark.parametrize("status", [None, *ENDINGS])
def test_a_run_that_runs_or_has_ended_cannot_be_started_again(ledger: Ledger, status: RunStatus | None) -> None:
    recorder = start(ledger, "run-1")
    if status is not None:
        ENDINGS[status](recorder)
    before = result_of(ledger)
    with pytest.raises(RunLostError, match="no longer running"):
        start(ledger, "run-1", "acme/rocket#99")
    assert result_of(ledger) == before


@pytest.mark.parametrize("status", list(ENDINGS))
def test_each_ending_is_final(ledger: Ledger, status: RunStatus, clock: HandClock) -> None:
    recorder = start(ledger, "run-1", clock=clock)
    recorder.set_phase(Phase.DOCS)
    clock.advance(2.5)
    assert ENDINGS[status](recorder)
    ended = result_of(ledger)
    assert ended.completion_status == status
    assert ended.duration_ms == 2500
    assert ended.phase == {RunStatus.FAILED: "docs", RunStatus.CANCELLED: "cancelled"}.get(status, "done")
    clock.advance(60)
    assert not any(finish(recorder) for finish in ENDINGS.values())
    for attempt in (
        lambda: recorder.set_phase(Phase.EMBED),
        lambda: recorder.set_mode(RunMode.BACKFILL),
        lambda: recorder.set_counters(Counters(ingested=9)),
        lambda: recorder.set_project(8, "other/project"),
        recorder.heartbeat_if_due,
    ):
        with pytest.raises(RunLostError):
            attempt()
    assert result_of(ledger) == ended


@pytest.mark.parametrize("status", list(ENDINGS))
def test_only_failing_and_cancelling_end_a_queued_run(ledger: Ledger, status: RunStatus) -> None:
    queue(ledger, "run-1")
    possible = status in (RunStatus.FAILED, RunStatus.CANCELLED)
    assert ENDINGS[status](SyncRunRecorder(ledger, "run-1")) is possible
    result = result_of(ledger)
    assert result.completion_status == (status if possible else "queued")
    assert all((report.failure is not None) is possible for report in result.entity_outcomes)


def test_no_ending_makes_a_run_that_never_was(ledger: Ledger) -> None:
    assert not any(finish(SyncRunRecorder(ledger, "nobody")) for finish in ENDINGS.values())
    with ledger.read() as tx:
        assert load_result(tx, "nobody") is None


def test_a_lost_run_cannot_open_a_window_and_writes_nothing(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1")
    assert SyncRunRecorder(ledger, "run-1").finish_cancelled()
    with pytest.raises(RunLostError), recorder.window("ingest") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
    with pytest.raises(RunLostError) as caught:
        asyncio.run(recorder.in_window("ingest", lambda tx: upsert_project(tx, "run-1", PROJECT, at(0))))
    assert caught.value.code is FailureCode.WORKER_LOST
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT * FROM projects") == []


def test_counters_phase_and_content_commit_together_or_not_at_all(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1")
    with pytest.raises(ZeroDivisionError), recorder.window("ingest") as tx:
        recorder.set_phase(Phase.INGEST, tx)
        recorder.set_counters(Counters(requested=3, ingested=1), tx)
        raise ZeroDivisionError
    assert (result_of(ledger).phase, result_of(ledger).counters.ingested) == ("preflight", 0)
    every_field = Counters(**{name: number for number, name in enumerate(Counters.model_fields, start=1)})

    def work(tx: object) -> None:
        recorder.set_phase(Phase.INGEST, tx)  # type: ignore[arg-type]
        recorder.set_counters(every_field, tx)  # type: ignore[arg-type]

    asyncio.run(recorder.in_window("ingest", work))
    assert (result_of(ledger).phase, result_of(ledger).counters) == ("ingest", every_field)


def test_a_run_never_goes_back_to_a_stage(ledger: Ledger) -> None:
    """A part of it may: what preflight could not fetch at first is ingested while the others are at docs."""
    recorder = start(ledger, "run-1")
    recorder.set_phase(Phase.DOCS)
    with recorder.window("ingest") as tx:
        recorder.set_phase(Phase.DEPENDENTS, tx)
    recorder.set_phase(Phase.INGEST)
    assert result_of(ledger).phase == "docs"
    assert [phase for phase, *_ in phases(ledger)] == ["preflight", "docs"]


def test_a_stage_that_is_entered_is_told_by_the_next_window(ledger: Ledger, clock: HandClock) -> None:
    """With the time at which it was entered, and not at all if that window is rolled back."""
    recorder = start(ledger, "run-1", clock=clock)
    clock.advance(3)
    recorder.enter(Phase.INGEST)
    assert result_of(ledger).phase == "preflight"
    clock.advance(4)
    with pytest.raises(ZeroDivisionError), recorder.window("ingest"):
        raise ZeroDivisionError
    assert result_of(ledger).phase == "preflight"
    with recorder.window("ingest") as tx:
        recorder.set_phase(Phase.DEPENDENTS, tx)
    assert result_of(ledger).phase == "dependents"
    assert [row[:3] for row in phases(ledger)] == [("preflight", 0, 3), ("ingest", 3, 7), ("dependents", 7, None)]


def test_a_run_that_ends_in_a_stage_that_no_window_told_of_ends_there(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1")
    recorder.enter(Phase.INGEST)
    assert recorder.finish_failed(BROKEN)
    assert result_of(ledger).phase == "ingest"


def test_counters_are_added_to_by_name(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1")
    with recorder.window("ingest") as tx:
        recorder.add_counters(tx, ingested=2, fetched=3)
        recorder.add_counters(tx, ingested=1)
        with pytest.raises(ValueError, match="no such counters: ingestet"):
            recorder.add_counters(tx, ingestet=1)
    counters = result_of(ledger).counters
    assert (counters.ingested, counters.fetched, counters.stale_skipped) == (3, 3, 0)


def test_many_updates_of_the_indexed_row_fit_into_one_window(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1")
    for _ in range(3):
        with recorder.window("busy") as tx:
            for phase in STAGES * 2:
                recorder.set_phase(phase, tx)
                recorder.set_mode(RunMode.BACKFILL, tx)
                recorder.set_mode(RunMode.SURGICAL, tx)
                recorder.count_requests(HttpStats(requests=1))
    with ledger.read() as tx:
        by_index = read_sql(
            tx, "SELECT run_id FROM sync_runs WHERE status = 'running' AND phase = 'embed' AND mode = 'surgical'"
        )
    assert by_index == [("run-1",)]
    recorder.finish_succeeded()
    assert result_of(ledger).http.requests == 30


def test_phases_follow_each_other_and_carry_their_usage(ledger: Ledger, clock: HandClock) -> None:
    recorder = start(ledger, "run-1", clock=clock)
    clock.advance(3)
    recorder.count_requests(HttpStats(requests=7, retries=2, rate_limited=1))
    recorder.set_phase(Phase.INGEST)
    recorder.count_requests(HttpStats(requests=1))
    with recorder.window("ingest"):
        clock.advance(4)
    recorder.finish_failed(BROKEN)
    rows = phases(ledger)
    assert [(phase, started, ended, requests) for phase, started, ended, _, requests in rows] == [
        ("preflight", 0, 3, 7),
        ("ingest", 3, 7, 1),
    ]
    # The window that entered ingest and the one of its own; the one that ended it was still open.
    assert rows[1][3] == 2
    assert result_of(ledger).http == HttpStats(requests=8, retries=2, rate_limited=1)


def test_the_end_adds_the_use_of_the_lock_that_was_not_told(ledger: Ledger) -> None:
    with ledger.write("before this run"):
        pass
    before = ledger.stats
    recorder = start(ledger, "run-1")
    recorder.set_phase(Phase.INGEST)
    used = ledger.stats - before
    recorder.finish_succeeded()
    lock = result_of(ledger).lock
    assert lock.windows == used.windows
    assert lock.held_ms == pytest.approx(used.held_ms)
    assert lock.wait_ms == pytest.approx(used.wait_ms)


def test_only_stages_can_be_entered(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1")
    for phase in set(Phase) - set(STAGES):
        with pytest.raises(ValueError, match="is no stage"):
            recorder.set_phase(phase)


def test_the_heart_beats_every_fifteen_seconds_and_with_every_window(ledger: Ledger, clock: HandClock) -> None:
    recorder = start(ledger, "run-1", clock=clock)
    clock.advance(14.9)
    assert not recorder.heartbeat_if_due()
    clock.advance(0.1)
    assert recorder.heartbeat_if_due()
    clock.advance(10)
    with recorder.window("x"):
        pass
    clock.advance(10)
    assert not recorder.heartbeat_if_due()
    with ledger.read() as tx:
        run = find_run(tx, "run-1")
    assert run is not None
    assert run.heartbeat_at == at(25)


def test_a_failed_run_fails_every_entity_that_was_not_complete(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1", "acme/rocket#1+2+4!3")
    own = Failure(code=FailureCode.NOT_FOUND, message="no such issue", stage="preflight")
    with recorder.window("save") as tx:
        recorder.set_phase(Phase.EMBED, tx)
        recorder.save_outcomes(
            tx,
            [
                EntityOutcome(entity_type=EntityType.ISSUE, iid=1, failure=own),
                EntityOutcome(
                    entity_type=EntityType.ISSUE,
                    iid=2,
                    ingested=True,
                    dependent_failures=(LATE,),
                    regenerated_document_ids=("a", "b"),
                    embedded_document_ids=("b", "a"),
                ),
                EntityOutcome(entity_type=EntityType.ISSUE, iid=4, ingested=True, regenerated_document_ids=("c",)),
            ],
        )
    assert recorder.finish_failed(BROKEN)
    result = result_of(ledger)
    codes = {report.entity: report.failure and report.failure.code for report in result.entity_outcomes}
    assert codes == {
        "acme/rocket#1": FailureCode.NOT_FOUND,
        "acme/rocket#2": None,
        "acme/rocket#4": FailureCode.SERVER_ERROR,
        "acme/rocket!3": FailureCode.SERVER_ERROR,
    }
    assert result.error is not None
    assert (result.error.code, result.error.message) == (FailureCode.SERVER_ERROR, "GitLab answered 500.")
    assert (result.warnings_count, result.counters.failed) == (4, 3)
    assert len(result.entity_failures) == 4


def test_a_cancelled_run_says_so_for_every_entity(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1")
    recorder.set_phase(Phase.DEPENDENTS)
    assert recorder.finish_cancelled()
    result = result_of(ledger)
    assert result.error is not None
    assert result.error.code is FailureCode.CANCELLED
    assert {report.failure.code for report in result.entity_outcomes if report.failure} == {FailureCode.CANCELLED}
    assert {failure.stage for failure in result.entity_failures} == {"dependents"}
    assert len(result.entity_failures) == 3


def test_what_a_rolled_back_window_told_is_told_again(ledger: Ledger, clock: HandClock) -> None:
    recorder = start(ledger, "run-1", clock=clock)
    recorder.count_requests(HttpStats(requests=5))
    clock.advance(20)
    with pytest.raises(ZeroDivisionError), recorder.window("lost") as tx:
        recorder.set_phase(Phase.INGEST, tx)
        recorder.set_phase(Phase.DEPENDENTS, tx)
        raise ZeroDivisionError
    assert recorder.heartbeat_if_due()
    before = ledger.stats
    assert recorder.finish_succeeded()
    result = result_of(ledger)
    assert result.http.requests == 5
    assert result.lock.windows == before.windows
