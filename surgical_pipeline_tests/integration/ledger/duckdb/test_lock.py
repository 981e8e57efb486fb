import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from surgical_pipeline.ledger.duckdb.lock import locked
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerError, LockTimeoutError, WaitAbandonedError
from surgical_pipeline_tests.integration.ledger.examples import start
from surgical_pipeline_tests.integration.ledger.processes import beside, let_go, let_go_in


def wait_for(condition: Callable[[], bool], limit_seconds: float = 10) -> None:
    deadline = time.monotonic() + limit_seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def open_lock_files() -> int:
    links = Path("/proc/self/fd").iterdir()
    return sum(link.exists() and link.readlink().suffix == ".lock" for link in links)


def waiting_threads() -> int:
    return sum(thread.name == "ledger-lock" for thread in threading.enumerate())


def test_eight_processes_lose_no_window(ledger: DuckDBLedger) -> None:
    start(ledger, "first")
    with ExitStack() as stack:
        processes = [stack.enter_context(beside("write_often", ledger.path, name, 8)) for name in range(8)]
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        assert [process.wait(60) for process in processes] == [0] * 8
    with ledger.write("count") as tx:
        written = tx._connection.execute("SELECT COUNT(*) FROM sync_run_phases WHERE phase = 'ingest'").fetchall()
    assert written == [(64,)]


def test_a_wait_past_the_limit_says_who_held_what_for_how_long(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with beside("hold_write", path) as holder:
        with pytest.raises(LockTimeoutError, match=r"ledger\.duckdb was held by other runs") as caught:
            with DuckDBLedger(path, lock_timeout_seconds=0.2).write("wait"):
                pytest.fail("two writers at once")
        assert caught.value.path == path
        assert 0.2 <= caught.value.waited < 2
        let_go(holder)


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with beside("hold_write", path) as holder:
        holder.kill()
        start(DuckDBLedger(path, lock_timeout_seconds=10), "run-1")


def test_readers_share_and_writers_wait_for_them(ledger: DuckDBLedger) -> None:
    start(ledger, "run-1")
    hasty = DuckDBLedger(ledger.path, lock_timeout_seconds=0.1)
    with beside("hold_read", ledger.path) as reader:
        with hasty.read() as tx:
            assert tx.rows("load_run", run_id="run-1")
        with pytest.raises(LockTimeoutError), hasty.write("wait"):
            pytest.fail("a writer beside a reader")
        let_go(reader)


def test_a_program_without_the_lock_is_waited_for_up_to_the_limit(ledger: DuckDBLedger) -> None:
    start(ledger, "run-1")
    with beside("hold_shell", ledger.path) as shell:
        with pytest.raises(LockTimeoutError), DuckDBLedger(ledger.path, lock_timeout_seconds=0.2).read():
            pytest.fail("the file was open elsewhere")
        let_go_in(0.2, shell)
        start(ledger, "run-2")


def test_abandoned_waits_leave_no_descriptor_and_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with locked(path, exclusive=True, timeout_seconds=5):
        raised: list[type[BaseException]] = []

        def wait_in_vain() -> None:
            try:
                with locked(path, exclusive=True, timeout_seconds=0.05):
                    pytest.fail("locked twice")
            except LockTimeoutError as error:
                raised.append(type(error))

        threads = [threading.Thread(target=wait_in_vain) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert raised == [LockTimeoutError] * 5
        assert waiting_threads() == 5
    with locked(path, exclusive=True, timeout_seconds=5) as grant:
        assert grant.waited_ms < 5000
    wait_for(lambda: waiting_threads() == 0)
    assert open_lock_files() == 0


def test_an_interruption_of_the_waiter_abandons_the_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.duckdb"

    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("surgical_pipeline.ledger.duckdb.lock._Attempt.wait", interrupted)
        with pytest.raises(KeyboardInterrupt), locked(path, exclusive=True, timeout_seconds=5):
            pytest.fail("interrupted")
    with locked(path, exclusive=True, timeout_seconds=5):
        pass
    wait_for(lambda: open_lock_files() == 0)


def test_a_cancelled_wait_ends_promptly(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    cancelled = threading.Event()
    with beside("hold_write", path):
        threading.Timer(0.1, cancelled.set).start()
        began = time.monotonic()
        with pytest.raises(WaitAbandonedError):
            with locked(path, exclusive=True, timeout_seconds=30, cancelled=cancelled):
                pytest.fail("called off")
        assert time.monotonic() - began < 2


def test_a_second_window_in_one_thread_is_a_mistake_that_is_named(ledger: DuckDBLedger) -> None:
    with ledger.write("outer") as tx:
        with pytest.raises(RuntimeError, match="already has a window open"), ledger.read():
            pytest.fail("would wait for itself")
        tx.execute("read_schema_version")
    with ledger.write("again"):
        pass


def test_threads_of_one_process_take_turns(ledger: DuckDBLedger) -> None:
    inside: list[int] = []

    def write(number: int) -> None:
        with ledger.write("turn"):
            inside.append(number)
            assert len(inside) % 2 == 1
            inside.append(number)

    threads = [threading.Thread(target=write, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(inside) == 12
    assert ledger.stats.windows == 6
    assert ledger.stats.wait_ms > 0


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(LedgerError, match="must exist and be writable"),
        DuckDBLedger(tmp_path / "no" / "l.duckdb").write("x"),
    ):
        pytest.fail("there is no such folder")


def test_a_ledger_is_one_ledger_by_whatever_name(ledger: DuckDBLedger, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "link.duckdb"
    link.parent.mkdir()
    link.symlink_to(ledger.path)
    with (
        ledger.write("outer"),
        pytest.raises(RuntimeError, match="already has a window open"),
        DuckDBLedger(link).read(),
    ):
        pytest.fail("two locks for one file")
    start(DuckDBLedger(link), "run-1")
    assert [path.name for path in link.parent.iterdir()] == ["link.duckdb"]
