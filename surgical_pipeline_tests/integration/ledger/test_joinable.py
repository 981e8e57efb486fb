"""One run, and a recorder for each of its stages, as where each has a process of its own."""

import pytest

from surgical_pipeline.domain.lifecycle import Phase, RunMode, RunStatus, Trigger
from surgical_pipeline.domain.outcomes import HttpStats
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerReplacedError, RunLostError
from surgical_pipeline.ledger.joinable import JoinableRecorder
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline.ledger.runs import load_result, queue_run
from surgical_pipeline_tests.integration.ledger.examples import HandClock, at, start
from surgical_pipeline_tests.ledger_gate import rows

CONDUCTOR = ProcessIdentity("host", 7, "boot/ns/1")


def process(ledger: DuckDBLedger, clock: HandClock) -> JoinableRecorder:
    """What a stage has in its own process: nothing of what others remember."""
    return JoinableRecorder(DuckDBLedger(ledger.path), "run-1", clock=clock, worker=CONDUCTOR)


def test_stages_in_processes_of_their_own_are_one_run(ledger: DuckDBLedger) -> None:
    clock = HandClock()
    first = process(ledger, clock)
    first.start_surgical(Scope.parse("acme/rocket#1+2"), mode=RunMode.SURGICAL, trigger=Trigger.LAUNCHPAD)
    first.count_requests(HttpStats(requests=5))
    clock.advance(3)
    first.hand_on()
    clock.advance(4)
    second = process(ledger, clock)
    second.join(Phase.INGEST)
    assert [str(one.key) for one in second.outcomes()] == ["#1", "#2"]
    with second.window("ingest") as tx:
        second.save_outcomes(tx, [one.model_copy(update={"ingested": True}) for one in second.outcomes()])
        second.add_counters(tx, ingested=2)
        second.set_phase(Phase.DEPENDENTS, tx)
    second.hand_on()
    for phase in (Phase.DEPENDENTS, Phase.DOCS):
        clock.advance(1)
        stage = process(ledger, clock)
        stage.join(phase)
        stage.count_requests(HttpStats(requests=1))
        stage.hand_on()
    last = process(ledger, clock)
    last.join(Phase.EMBED)
    assert all(one.ingested for one in last.outcomes())
    assert last.conclude() is RunStatus.SUCCEEDED
    with ledger.read() as tx:
        result = load_result(tx, "run-1")
        phases = tx._connection.execute(
            "SELECT phase, http_requests, finished_at IS NOT NULL FROM sync_run_phases WHERE run_id = 'run-1'"
        ).fetchall()
    assert result is not None
    assert (result.completion_status, result.phase, result.counters.ingested) == ("succeeded", "done", 2)
    assert result.http.requests == 7
    assert sorted(phases) == [
        ("dependents", 1, True),
        ("docs", 1, True),
        ("embed", 0, True),
        ("ingest", 0, True),
        ("preflight", 5, True),
    ]
    row = rows(ledger.path)["run-1"]
    assert (row.values["host"], row.pid) == ("host", 7)


@pytest.mark.parametrize("ending", ["finish_cancelled", "finish_succeeded"])
def test_a_run_that_has_ended_is_not_joined(ledger: DuckDBLedger, ending: str) -> None:
    assert getattr(start(ledger, "run-1"), ending)()
    with pytest.raises(RunLostError):
        process(ledger, HandClock(at(5))).join(Phase.INGEST)


def test_a_second_process_of_a_stage_that_is_over_writes_nothing(ledger: DuckDBLedger) -> None:
    start(ledger, "run-1").set_phase(Phase.DOCS)
    late = process(ledger, HandClock(at(5)))
    with pytest.raises(RunLostError):
        late.join(Phase.INGEST)


def test_a_ledger_that_does_not_know_that_the_run_has_begun_is_another_one(ledger: DuckDBLedger) -> None:
    start(ledger, "run-0")
    with pytest.raises(LedgerReplacedError):
        process(ledger, HandClock()).join(Phase.INGEST)
    with ledger.write("queue") as tx:
        queue_run(
            tx,
            "run-1",
            scope=Scope.parse("acme/rocket#1"),
            mode=RunMode.SURGICAL,
            trigger=Trigger.LAUNCHPAD,
            queued_at=at(0),
        )
    with pytest.raises(LedgerReplacedError):
        process(ledger, HandClock()).join(Phase.INGEST)
