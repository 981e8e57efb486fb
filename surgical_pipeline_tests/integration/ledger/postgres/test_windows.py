"""Windows on PostgreSQL: what they promise when the server, the schema or the transaction is not as expected."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.errors import (
    LedgerError,
    LedgerGoneError,
    LedgerMissingError,
    LedgerVersionError,
    WaitAbandonedError,
)
from surgical_pipeline.ledger.postgres.address import Address
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline_tests.integration.ledger.examples import read_sql, run_sql, start
from surgical_pipeline_tests.postgres_server import PASSWORD, PostgresServer

NEXT = sql.Migration(
    sql.migrations()[-1].version + 1, "painted", "ALTER TABLE sync_runs ADD COLUMN colour VARCHAR;"
)


def test_nothing_is_made_by_looking(new_ledger: PostgresLedger) -> None:
    assert not new_ledger.exists
    with pytest.raises(LedgerMissingError), new_ledger.read():
        pass
    with new_ledger.write("make"):
        pass
    assert new_ledger.exists


def test_many_make_it_at_once(new_ledger: PostgresLedger) -> None:
    def make() -> None:
        with PostgresLedger(new_ledger.address).write("make"):
            pass

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with new_ledger.read() as tx:
        versions = tx.column("list_migrations")
    assert versions == [one.version for one in sql.migrations()]


def test_an_error_in_the_block_undoes_all_of_it_and_the_next_window_works(ledger: PostgresLedger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.write("in vain") as tx:
        run_sql(tx, "INSERT INTO pruned_failures VALUES ('2026-05-04', 'TIMEOUT', 1, 1)")
        raise ZeroDivisionError
    with ledger.write("again") as tx:
        assert read_sql(tx, "SELECT * FROM pruned_failures") == []


def test_a_statement_that_failed_is_not_silently_dropped_by_the_commit(ledger: PostgresLedger) -> None:
    with pytest.raises(LedgerError, match="nothing was kept"), ledger.write("swallowed") as tx:
        run_sql(tx, "INSERT INTO pruned_failures VALUES ('2026-05-04', 'TIMEOUT', 1, 1)")
        with pytest.raises(psycopg.errors.DivisionByZero):
            run_sql(tx, "SELECT 1 / 0")


def test_a_reading_window_sees_one_moment(ledger: PostgresLedger) -> None:
    done = threading.Event()

    def write() -> None:
        start(ledger, "run-1")
        done.set()

    with ledger.read() as tx:
        assert read_sql(tx, "SELECT COUNT(*) FROM sync_runs") == [(0,)]
        threading.Thread(target=write).start()
        assert done.wait(30)
        assert read_sql(tx, "SELECT COUNT(*) FROM sync_runs") == [(0,)]
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT COUNT(*) FROM sync_runs") == [(1,)]


def test_a_reading_window_cannot_write(ledger: PostgresLedger) -> None:
    with pytest.raises(LedgerError, match="read-only"), ledger.read() as tx:
        tx.execute("prune_failures", run_ids=["run-1"])


def test_a_second_window_of_one_thread_is_a_bug_that_is_told(ledger: PostgresLedger) -> None:
    with ledger.write("outer"), pytest.raises(RuntimeError, match="wait for itself"), ledger.write("inner"):
        pass


def test_a_wait_that_is_called_off_writes_nothing(ledger: PostgresLedger) -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(WaitAbandonedError), ledger.write("late", cancelled=cancelled):
        pass


def test_a_newer_program_migrates_it_and_an_older_one_then_leaves_it(new_ledger: PostgresLedger) -> None:
    start(new_ledger, "run-1")
    newer = PostgresLedger(new_ledger.address, migrations=(*new_ledger.schema, NEXT))
    with newer.read() as tx:
        assert read_sql(tx, "SELECT colour FROM sync_runs") == [(None,)]
    for window in (new_ledger.read, PostgresLedger(new_ledger.address).write):
        with pytest.raises(LedgerVersionError, match="Update surgical-pipeline"), window("old"):
            pass


def test_half_a_migration_leaves_the_ledger_as_it_was(new_ledger: PostgresLedger) -> None:
    start(new_ledger, "run-1")
    half = sql.Migration(NEXT.version, "half", f"{NEXT.text} SELECT 1 / 0;")
    broken = PostgresLedger(new_ledger.address, migrations=(*new_ledger.schema, half))
    with pytest.raises(psycopg.errors.DivisionByZero), broken.write("half"):
        pass
    with new_ledger.read() as tx:
        assert "colour" not in tx.rows("load_run", run_id="run-1")[0]


def test_a_ledger_that_is_gone_is_not_made_anew(new_ledger: PostgresLedger) -> None:
    start(new_ledger, "run-1")
    with new_ledger.write("drop") as tx:
        run_sql(tx, "DROP SCHEMA main CASCADE")
    for window in (new_ledger.read, new_ledger.write):
        with pytest.raises(LedgerGoneError), window("gone"):
            pass


def test_a_connection_that_was_cut_between_windows_is_made_again(ledger: PostgresLedger) -> None:
    start(ledger, "run-1")
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    other = PostgresLedger(Address.parse(f"{ledger.address.text}?application_name=cutter"))
    with other.write("cut") as tx:
        run_sql(tx, cut)
    with ledger.read() as tx:
        assert len(read_sql(tx, "SELECT 1 FROM sync_runs")) == 1
    other.close()


def test_a_connection_that_is_cut_in_a_window_undoes_it(ledger: PostgresLedger) -> None:
    with pytest.raises(LedgerError, match="cannot be reached"), ledger.write("cut") as tx:
        tx.execute("prune_failures", run_ids=[])
        with pytest.raises(psycopg.OperationalError):
            run_sql(tx, "SELECT pg_terminate_backend(pg_backend_pid())")
        tx.execute("prune_failures", run_ids=[])
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"postgresql://ledger:{PASSWORD}@127.0.0.1:1/x", "refused"),
        (f"postgresql://u:{PASSWORD}@no-such-host.invalid/x", "no-such-host"),
    ],
)
def test_a_server_that_was_never_there_is_an_error_at_once(url: str, says: str) -> None:
    ledger = PostgresLedger(Address.parse(url), lock_timeout_seconds=600)
    assert ledger.exists  # nobody knows
    with pytest.raises(LedgerError, match=says) as caught, ledger.read():
        pass
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{PASSWORD}/x@host/db",
        f"postgresql://u:pa@{PASSWORD}@host/db",
        f"postgresql://u:{PASSWORD}%zz@host/db",
        f"postgresql://u:1/{PASSWORD}@host:5/db",
    ],
)
def test_an_address_that_is_none_is_told_without_what_may_be_its_password(url: str) -> None:
    with pytest.raises(LedgerError, match="no valid address") as caught:
        Address.parse(url)
    assert PASSWORD not in str(caught.value) + repr(caught.value.__cause__)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_password_is_in_no_text_of_a_ledger(postgres: PostgresServer) -> None:
    address = postgres.address("postgres")
    ledger = PostgresLedger(address)
    for text in (repr(address), str(address), ledger.location, repr(ledger)):
        assert PASSWORD not in text
    assert ledger.location.startswith("postgresql://ledger@127.0.0.1:")


def test_heartbeats_are_by_the_servers_clock(ledger: PostgresLedger) -> None:
    """A worker whose own clock is a day off gives the same signs of life as all others."""
    of_server = PostgresLedger(ledger.address)
    run = SyncRunRecorder(of_server, "run-1")
    assert abs(of_server.clock() - datetime.now(UTC)) < timedelta(seconds=5)
    del run
    with of_server.write("x") as tx:
        ((now,),) = read_sql(tx, "SELECT now()")
        assert tx.now - now < timedelta(seconds=1)


def test_the_server_gives_up_a_machine_that_is_gone_within_a_minute(ledger: PostgresLedger) -> None:
    """With the locks of its windows: else they would stay for two hours."""
    names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    with ledger.read() as tx:
        idle, interval, count, unanswered = (
            int(setting) for name in names for (setting,) in read_sql(tx, f"SELECT current_setting('{name}')")
        )
    assert idle + interval * count < 60
    assert 0 < unanswered < 60_000
