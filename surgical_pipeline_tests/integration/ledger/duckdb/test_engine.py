"""One DuckDB for many windows, and the file in nobody's hands between them."""

import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.ledger.duckdb import engine
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerError, NotALedgerError

OPENS = "import duckdb, sys; duckdb.connect(sys.argv[1]).close()"


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One item for each DuckDB that was started."""
    started: list[str] = []

    def noted(spill_folder: str) -> duckdb.DuckDBPyConnection:
        started.append(spill_folder)
        return real(spill_folder)

    real = engine.start
    monkeypatch.setattr(engine, "start", noted)
    return started


def test_windows_of_all_of_a_process_share_a_duckdb_that_spills_beside_the_ledger(
    tmp_path: Path, starts: list[str]
) -> None:
    path = tmp_path / "ledger.duckdb"
    one, other = DuckDBLedger(path), DuckDBLedger(path)
    for _ in range(3):
        with one.write("nothing"):
            pass
        with other.read() as tx:
            assert tx.execute("list_runs", status=None, limit=1, of_events=False) == []
    assert starts == [f"{path}.tmp"]
    del one, other
    with DuckDBLedger(path).read():
        pass
    assert starts == [f"{path}.tmp"] * 2


def test_between_windows_the_file_is_free_for_a_program_that_knows_no_lock(ledger: DuckDBLedger) -> None:
    with ledger.write("first"):
        assert stranger_opens(ledger.path) is False
    assert stranger_opens(ledger.path) is True
    with ledger.read():
        assert stranger_opens(ledger.path) is False
    assert stranger_opens(ledger.path) is True


def test_a_window_sees_what_a_program_wrote_that_had_the_file_since(ledger: DuckDBLedger) -> None:
    with ledger.read() as tx:
        before = tx.execute("read_schema_version")
    columns = "project_id, path, run_id, fetched_at, payload"
    insert = f"INSERT INTO projects ({columns}) VALUES (9, 'acme/nine', 'run', now(), '{{}}')"
    code = f"import duckdb, sys; duckdb.connect(sys.argv[1]).execute({insert!r})"
    subprocess.run([sys.executable, "-c", code, str(ledger.path)], check=True, capture_output=True)
    with ledger.read() as tx:
        assert tx.execute("read_schema_version") == before
        assert tx._connection.execute("SELECT path FROM projects").fetchall() == [("acme/nine",)]


def test_after_an_error_in_a_window_the_next_one_has_another_duckdb(
    ledger: DuckDBLedger, starts: list[str]
) -> None:
    with ledger.read():
        pass
    starts.clear()
    with pytest.raises(ZeroDivisionError), ledger.write("fails"):
        raise ZeroDivisionError
    with ledger.write("goes on"):
        pass
    assert len(starts) == 1


def test_readers_that_overlap_share_the_file_and_the_last_one_lets_go_of_it(ledger: DuckDBLedger) -> None:
    def fail() -> None:
        with pytest.raises(ZeroDivisionError), ledger.read():
            raise ZeroDivisionError

    with ledger.read() as tx:
        failing = threading.Thread(target=fail)
        failing.start()
        failing.join(20)
        assert not failing.is_alive()
        assert stranger_opens(ledger.path) is False
        assert tx.execute("list_runs", status=None, limit=1, of_events=False) == []
    assert stranger_opens(ledger.path) is True


def test_a_file_that_cannot_be_attached_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    path.write_bytes(b"no database " * 500)
    ledger = DuckDBLedger(path)
    for _ in range(2):
        with pytest.raises(NotALedgerError), ledger.read():
            pass
    path.unlink()
    with pytest.raises(LedgerError), ledger.read():
        pass


def stranger_opens(path: Path) -> bool:
    return (
        subprocess.run([sys.executable, "-c", OPENS, str(path)], check=False, capture_output=True).returncode == 0
    )
