"""The row of times that machines share: what it promises whatever the database is like."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from surgical_pipeline.ledger.errors import LedgerMissingError
from surgical_pipeline.ledger.postgres.pacing import RequestPacing, Times
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline_tests.integration.ledger.examples import read_sql, run_sql
from surgical_pipeline_tests.postgres_server import PASSWORD, PostgresServer

NOTHING = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
SOME = (3.0, 0.5, 4.0, 1.0, 2.0, 3.0)


@pytest.fixture
def pacing(ledger: PostgresLedger) -> Iterator[RequestPacing]:
    with closing(RequestPacing(ledger.address)) as opened:
        yield opened


def put(pacing: RequestPacing, times: Times, key: str = "a") -> None:
    pacing.exchange(key, lambda _before, _now: (times, None))


def test_what_one_writes_the_other_reads_by_the_servers_clock(
    ledger: PostgresLedger, pacing: RequestPacing
) -> None:
    assert pacing.look("a")[0] == NOTHING
    put(pacing, SOME)
    with closing(RequestPacing(ledger.address)) as other:
        times, now = other.look("a")
        assert times == SOME
        assert abs(datetime.fromtimestamp(now, UTC) - PostgresLedger(ledger.address).clock()) < timedelta(
            seconds=2
        )
        assert other.look("b")[0] == NOTHING


def test_nobody_else_changes_them_meanwhile(ledger: PostgresLedger) -> None:
    """All would add to the same number otherwise. The time that is told is that after the wait."""

    def add(_: int) -> list[float]:
        with closing(RequestPacing(ledger.address)) as mine:
            return [mine.exchange("a", lambda times, now: ((times[0] + 1, *times[1:]), now)) for _ in range(20)]

    with ThreadPoolExecutor(4) as threads:
        told = [now for one in threads.map(add, range(4)) for now in one]
    with closing(RequestPacing(ledger.address)) as mine:
        assert mine.look("a")[0][0] == 80
    assert len(set(told)) == 80


def test_it_needs_no_ledger_and_makes_none(new_ledger: PostgresLedger) -> None:
    """Many at once make the table; a list is read before a first run, and the ledger is made beside it."""
    barrier = threading.Barrier(4)

    def first(_: int) -> None:
        with closing(RequestPacing(new_ledger.address)) as mine:
            barrier.wait()
            put(mine, SOME)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(first, range(4)))
    assert not new_ledger.exists
    with pytest.raises(LedgerMissingError), new_ledger.read():
        pass
    with new_ledger.write("make") as tx:
        assert read_sql(tx, "SELECT key, paused_until FROM request_pacing") == [("a", 3.0)]


def test_the_schema_has_no_version_of_it(ledger: PostgresLedger, pacing: RequestPacing) -> None:
    """Programs that know nothing of it go on, and a database that was restored without it stops nobody."""
    put(pacing, SOME)
    with ledger.write("drop") as tx:
        run_sql(tx, "DROP TABLE request_pacing")
    with pytest.raises(ConnectionError, match="request_pacing"):
        pacing.look("a")
    assert pacing.look("a")[0] == NOTHING


@pytest.mark.parametrize(
    "change",
    ["next_starts = '{}'", "next_starts = '{NULL,NULL,1}'", "paused_until = 'NaN', gap_seconds = '-Infinity'"],
)
def test_whatever_somebody_wrote_can_be_read_and_replaced(
    ledger: PostgresLedger, pacing: RequestPacing, change: str
) -> None:
    put(pacing, SOME)
    with ledger.write("spoil") as tx:
        run_sql(tx, f"UPDATE request_pacing SET {change}")
    assert all(isinstance(value, float) for value in pacing.look("a")[0])
    put(pacing, SOME)
    assert pacing.look("a")[0] == SOME


def test_who_is_stopped_with_the_row_in_hand_is_thrown_out_by_the_server(
    ledger: PostgresLedger, pacing: RequestPacing
) -> None:
    put(pacing, SOME)

    def stopped(times: Times, _now: float) -> tuple[Times, None]:
        time.sleep(2.5)
        return times, None

    def frozen() -> None:
        with closing(RequestPacing(ledger.address)) as mine, pytest.raises(ConnectionError):
            mine.exchange("a", stopped)

    holder = threading.Thread(target=frozen)
    holder.start()
    began = time.monotonic()
    while time.monotonic() < began + 10:
        try:
            put(pacing, NOTHING)
            break
        except ConnectionError:
            continue
    assert time.monotonic() - began < 5
    holder.join()


def test_a_connection_that_is_cut_is_told_and_made_again(postgres: PostgresServer, pacing: RequestPacing) -> None:
    put(pacing, SOME)
    ours = "application_name = 'surgical_pipeline requests'"
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"
    postgres.rows("postgres", cut)
    with pytest.raises(ConnectionError):
        pacing.look("a")
    assert pacing.look("a")[0] == SOME


def test_a_server_that_is_not_there_is_told_without_the_password(postgres: PostgresServer) -> None:
    with closing(RequestPacing(postgres.address("no_such_database"))) as nowhere:
        with pytest.raises(ConnectionError, match="no_such_database") as raised:
            nowhere.look("a")
        assert PASSWORD not in str(raised.value)
        assert isinstance(raised.value.__cause__, psycopg.Error)
