import pytest

from surgical_pipeline.ledger.duckdb.lock import locked
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.heartbeat import Heartbeat
from surgical_pipeline.ledger.runs import find_run
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.integration.ledger.examples import HandClock, at, start

SOON = 0.01


@pytest.fixture
def backend() -> str:
    """The file's lock is held by others."""
    return "duckdb"


def last_beat(ledger: DuckDBLedger) -> object:
    with ledger.read() as tx:
        run = find_run(tx, "run-1")
    assert run is not None
    return run.heartbeat_at


def test_the_heart_beats_without_any_window_of_a_stage(ledger: DuckDBLedger, clock: HandClock) -> None:
    run = start(ledger, "run-1", clock=clock)
    with Heartbeat(run, check_seconds=SOON):
        clock.advance(16)
        wait_until(lambda: last_beat(ledger) == at(16), limit_seconds=20, what="a heartbeat")
        clock.advance(16)
        wait_until(lambda: last_beat(ledger) == at(32), limit_seconds=20, what="the next heartbeat")


def test_no_beat_comes_after_the_block(ledger: DuckDBLedger, clock: HandClock) -> None:
    run = start(ledger, "run-1", clock=clock)
    with Heartbeat(run, check_seconds=SOON) as heart:
        pass
    assert not heart._thread.is_alive()
    assert last_beat(ledger) == at(0)


def test_a_beat_that_waits_for_the_lock_does_not_hold_up_the_end(ledger: DuckDBLedger, clock: HandClock) -> None:
    run = start(ledger, "run-1", clock=clock)
    with locked(ledger.path, exclusive=True, timeout_seconds=20):
        clock.advance(16)
        with Heartbeat(run, check_seconds=SOON) as heart:
            wait_until(heart._thread.is_alive, limit_seconds=20, what="the thread runs")
    assert last_beat(ledger) == at(0)


def test_the_heart_of_a_lost_run_stops_and_writes_nothing(ledger: DuckDBLedger, clock: HandClock) -> None:
    run = start(ledger, "run-1", clock=clock)
    assert run.finish_cancelled()
    clock.advance(16)
    with Heartbeat(run, check_seconds=SOON) as heart:
        wait_until(lambda: not heart._thread.is_alive(), limit_seconds=20, what="the thread ends")
    assert last_beat(ledger) == at(0)


def test_the_heart_beats_on_when_the_ledger_was_busy_for_too_long(ledger: DuckDBLedger, clock: HandClock) -> None:
    run = start(DuckDBLedger(ledger.path, lock_timeout_seconds=0.05, clock=clock), "run-1", clock=clock)
    clock.advance(16)
    with Heartbeat(run, check_seconds=SOON):
        with locked(ledger.path, exclusive=True, timeout_seconds=20):
            clock.advance(16)
        wait_until(lambda: last_beat(ledger) == at(32), limit_seconds=20, what="a heartbeat after all")
