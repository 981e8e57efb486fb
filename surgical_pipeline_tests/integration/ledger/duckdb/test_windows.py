import asyncio
import resource
import threading
import time
from pathlib import Path

import pytest

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.duckdb.checkpoints import MOST_BYTES, CheckpointPolicy
from surgical_pipeline.ledger.duckdb.file import wal_bytes
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerError, LedgerMissingError, NotALedgerError
from surgical_pipeline.ledger.runs import load_result, set_dagster_status
from surgical_pipeline_tests.integration.ledger.duckdb.test_lock import wait_for, waiting_threads
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, at, start
from surgical_pipeline_tests.integration.ledger.processes import beside, let_go
from surgical_pipeline_tests.signals import LONG_QUERY, soon_interrupted


def write_project(tx: DuckDBTransaction) -> None:
    upsert_project(tx, "run-1", PROJECT, at(0))


def projects(ledger: DuckDBLedger) -> int:
    with ledger.read() as tx:
        return len(tx._connection.execute("SELECT 1 FROM projects").fetchall())


def test_an_exception_rolls_the_window_back(ledger: DuckDBLedger) -> None:
    start(ledger, "run-1")

    class Interrupted(BaseException):
        pass

    with pytest.raises(Interrupted), ledger.write("x") as tx:
        write_project(tx)
        raise Interrupted
    assert projects(ledger) == 0
    with ledger.write("x") as tx:
        write_project(tx)
    assert projects(ledger) == 1


def test_ctrl_c_while_a_query_runs_is_an_interrupt_and_rolls_the_window_back(ledger: DuckDBLedger) -> None:
    """DuckDB alone would say ``RuntimeError: Query interrupted``."""
    start(ledger, "run-1")
    with pytest.raises(KeyboardInterrupt), soon_interrupted(), ledger.write("x") as tx:
        write_project(tx)
        tx.connection.execute(LONG_QUERY)
    assert projects(ledger) == 0
    with ledger.write("x") as tx:
        write_project(tx)
    assert projects(ledger) == 1


def test_another_runtime_error_stays_what_it_is(ledger: DuckDBLedger) -> None:
    with pytest.raises(RuntimeError, match="a defect"), ledger.write("x"):
        raise RuntimeError("a defect")


def test_a_read_window_cannot_write(ledger: DuckDBLedger) -> None:
    start(ledger, "run-1")
    with pytest.raises(Exception, match="read-only"), ledger.read() as tx:
        write_project(tx)


def test_a_read_before_any_write_says_that_there_is_nothing(new_ledger: DuckDBLedger) -> None:
    assert not new_ledger.exists
    with pytest.raises(LedgerMissingError, match="There is no ledger at"), new_ledger.read():
        pytest.fail("nothing to read")
    assert not new_ledger.path.exists()


def test_every_window_is_counted_with_its_times(ledger: DuckDBLedger) -> None:
    with ledger.write("x"):
        pass
    with ledger.read():
        pass
    with pytest.raises(ZeroDivisionError), ledger.write("x"):
        raise ZeroDivisionError
    stats = ledger.stats
    assert stats.windows == 3
    assert 0 < stats.longest_held_ms < stats.held_ms


def test_the_log_is_folded_in_once_it_is_long_and_that_counts_as_a_window(ledger: DuckDBLedger) -> None:
    ledger._engine.checkpoints = CheckpointPolicy(price_ms=1e9)
    start(ledger, "run-1")
    before = ledger.stats.windows
    with ledger.write("little") as tx:
        set_dagster_status(tx, "run-1", "x" * 1000)
    assert 0 < wal_bytes(ledger.path) < MOST_BYTES
    with ledger.write("much") as tx:
        set_dagster_status(tx, "run-1", "x" * (MOST_BYTES + 1))
    assert wal_bytes(ledger.path) < 10_000
    assert ledger.stats.windows == before + 3
    with ledger.read() as tx:
        assert load_result(tx, "run-1") is not None


def test_the_log_is_folded_in_once_replaying_it_has_cost_as_much_as_that_does(ledger: DuckDBLedger) -> None:
    start(ledger, "run-1")
    ledger.checkpoint()
    for number in range(100):
        ledger._engine.checkpoints = policy = CheckpointPolicy(price_ms=1.0)
        with ledger.write("little") as tx:
            set_dagster_status(tx, "run-1", f"{number}" * 1000)
        if not wal_bytes(ledger.path):
            break
    assert wal_bytes(ledger.path) == 0, "it never was"
    assert number > 0, "the first window replayed nothing"
    assert not policy.due(1)


def write_very_much(tx: DuckDBTransaction, *, first: int = 0) -> None:
    """So much, and nothing of any run, that DuckDB checkpoints by itself inside the COMMIT."""
    tx._connection.execute(
        "INSERT INTO documents SELECT 'doc' || i, 'issue', 7, 'issue', 1, NULL, 't', "
        "repeat(md5(i::VARCHAR), 10), 'h', NULL, '', [], NULL, FALSE, FALSE, NULL, NULL, NULL, 'run-1' "
        "FROM range($first, $first + 100000) AS numbers(i)",
        {"first": first},
    )


def test_a_very_large_window_leaves_the_rows_of_runs_writable(ledger: DuckDBLedger) -> None:
    """DuckDB 2.0.0 lost the index entries of rows that the window left alone."""
    recorder = start(ledger, "run-1")
    with ledger.write("very much") as tx:
        write_very_much(tx)
    with recorder.window("heartbeat"):
        pass
    assert recorder.finish_succeeded()


def test_a_disk_that_is_full_at_a_checkpoint_of_duckdbs_own_undoes_the_window(ledger: DuckDBLedger) -> None:
    recorder = start(ledger, "run-1")
    with ledger.write("much already") as tx:
        write_very_much(tx)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(LedgerError, match=r"its disk is full: .*Checkpoint failed"), ledger.write("x") as tx:
            write_very_much(tx, first=100_000)
            resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.path.stat().st_size + 1_000_000, limits[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    with ledger.read() as tx:
        assert tx._connection.execute("SELECT count(*) FROM documents").fetchone() == (100_000,)
    assert recorder.finish_succeeded()


def test_a_full_disk_is_a_ledger_error_and_the_file_stays_readable(ledger: DuckDBLedger) -> None:
    with beside("fill_disk", ledger.path) as full:
        let_go(full)
    with ledger.read() as tx:
        result = load_result(tx, "run-1")
    assert result is not None
    assert result.completion_status == "running"


def test_a_kill_inside_a_window_leaves_a_readable_file_without_its_changes(ledger: DuckDBLedger) -> None:
    start(ledger, "run-1")
    with beside("hold_write", ledger.path) as writer:
        writer.kill()
    assert projects(ledger) == 0


def test_a_kill_in_the_first_window_leaves_nothing_in_the_way(new_ledger: DuckDBLedger) -> None:
    with beside("hold_write", new_ledger.path) as writer:
        writer.kill()
    start(new_ledger, "run-1")
    assert projects(new_ledger) == 0


@pytest.mark.parametrize("content", [b"this is a letter\n" * 999, b"x"])
def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    for window in (DuckDBLedger(path).write("x"), DuckDBLedger(path).read()):
        with pytest.raises(NotALedgerError, match="cannot be used as a ledger") as caught, window:
            pytest.fail("not a ledger")
        assert caught.value.code is FailureCode.LEDGER_ERROR
    assert path.read_bytes() == content


def test_an_empty_file_counts_as_no_ledger(new_ledger: DuckDBLedger) -> None:
    new_ledger.path.touch()
    assert not new_ledger.exists
    start(new_ledger, "run-1")


def test_the_log_of_a_deleted_ledger_does_not_spoil_the_next_one(new_ledger: DuckDBLedger) -> None:
    start(new_ledger, "run-1")
    assert wal_bytes(new_ledger.path) > 0
    new_ledger.path.unlink()
    another = DuckDBLedger(new_ledger.path)
    start(another, "run-2")
    with another.read() as tx:
        assert load_result(tx, "run-1") is None
        assert load_result(tx, "run-2") is not None


def test_a_cancelled_task_stops_waiting_for_the_lock_at_once(ledger: DuckDBLedger) -> None:
    async def cancel_while_waiting() -> float:
        task = asyncio.create_task(ledger.in_write("x", write_project))
        await asyncio.to_thread(wait_for, lambda: waiting_threads() == 1)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - began

    with beside("hold_write", ledger.path) as holder:
        assert asyncio.run(cancel_while_waiting()) < 1
        let_go(holder)
    with ledger.write("next") as tx:
        assert tx._connection.execute("SELECT run_id FROM projects").fetchall() == [("never",)]
    wait_for(lambda: waiting_threads() == 0)


def test_work_that_has_begun_is_committed_before_the_cancellation_goes_on(ledger: DuckDBLedger) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(tx: DuckDBTransaction) -> None:
        begun.set()
        assert go_on.wait(10)
        write_project(tx)

    async def cancel_while_working() -> None:
        task = asyncio.create_task(ledger.in_write("x", work))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # an impatient second time
        asyncio.get_running_loop().call_later(0.05, go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_while_working())
    assert projects(ledger) == 1


def test_a_cancelled_task_whose_window_never_began_writes_nothing(ledger: DuckDBLedger) -> None:
    started = threading.Event()
    go_on = threading.Event()

    def work(_: DuckDBTransaction) -> None:
        started.set()
        assert go_on.wait(10)

    async def crowd() -> None:
        first = asyncio.create_task(ledger.in_write("first", work))
        await asyncio.to_thread(started.wait, 10)
        rest = [asyncio.create_task(ledger.in_write("rest", write_project)) for _ in range(20)]
        await asyncio.sleep(0.05)
        for task in rest:
            task.cancel()
        results = await asyncio.gather(*rest, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        go_on.set()
        await first

    asyncio.run(crowd())
    assert projects(ledger) == 0


def test_the_event_loop_goes_on_while_a_window_waits(ledger: DuckDBLedger) -> None:
    async def tick_while_waiting() -> int:
        task = asyncio.create_task(ledger.in_write("x", write_project))
        ticks = 0
        while waiting_threads() == 0 or ticks < 20:
            ticks += 1
            await asyncio.sleep(0.001)
        assert not task.done()
        await asyncio.to_thread(let_go, holder)
        await task
        return ticks

    with beside("hold_write", ledger.path) as holder:
        assert asyncio.run(tick_while_waiting()) >= 20
    assert asyncio.run(ledger.in_read("x", lambda tx: tx.execute("read_schema_version"))) == [
        (sql.migrations()[-1].version,)
    ]


def test_an_error_of_the_work_reaches_the_task(ledger: DuckDBLedger) -> None:
    def work(_: DuckDBTransaction) -> None:
        raise LedgerError("as it is")

    with pytest.raises(LedgerError, match="as it is"):
        asyncio.run(ledger.in_write("x", work))


def test_a_log_that_another_process_folded_in_says_nothing_of_what_a_checkpoint_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = DuckDBLedger(tmp_path / "ledger.duckdb")
    with ledger.write("make"):
        pass
    ledger.checkpoint()
    tried: list[float] = []
    monkeypatch.setattr(ledger._engine.checkpoints, "tried", tried.append)
    ledger.checkpoint()
    assert tried == []
