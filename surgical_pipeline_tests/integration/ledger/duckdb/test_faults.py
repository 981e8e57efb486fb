"""Real files, damaged in the ways that disks and people have: a clear error, and nothing is made worse."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.duckdb.file import wal_path
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import (
    LedgerDamagedError,
    LedgerError,
    LedgerGoneError,
    LedgerReplacedError,
    NotALedgerError,
)
from surgical_pipeline.ledger.runs import list_runs, load_result, set_dagster_status
from surgical_pipeline_tests.integration.ledger import processes
from surgical_pipeline_tests.integration.ledger.duckdb.test_maintenance import add_document, damage_rows
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, at, start
from surgical_pipeline_tests.integration.ledger.processes import beside, let_go
from surgical_pipeline_tests.integration.ledger.test_checks import save_everything

Damage = Callable[[Path], None]


@pytest.fixture
def filled(ledger: DuckDBLedger) -> DuckDBLedger:
    """A ledger with rows in its file and more of them in its log."""
    run = start(ledger, "run-1", "acme/rocket#1!2")
    with run.window("all") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
        save_everything(tx, issue_iid=1, mr_iid=2)
    ledger.checkpoint()
    add_document(ledger, "in the log")
    return ledger


def files(ledger: DuckDBLedger) -> dict[str, bytes]:
    folder = ledger.path.parent
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")}


def overwrite(path: Path, at_byte: int, length: int = 500) -> None:
    with path.open("r+b") as file:
        file.seek(at_byte)
        file.write(b"\xa5" * length)


def by_sqlite(path: Path) -> None:
    path.unlink()
    wal_path(path).unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE letters (text)")


DAMAGES = [
    pytest.param(lambda path: overwrite(path, 0), NotALedgerError, "it is no DuckDB database", id="beginning"),
    pytest.param(lambda path: overwrite(path, 4096, 8192), LedgerDamagedError, "Corrupt database", id="headers"),
    pytest.param(lambda path: os.truncate(path, 5000), LedgerDamagedError, "Could not read enough", id="cut off"),
    pytest.param(lambda path: path.write_text("a letter " * 999), NotALedgerError, "no DuckDB", id="text"),
    pytest.param(by_sqlite, NotALedgerError, "it is a SQLite database", id="sqlite"),
    pytest.param(lambda path: overwrite(wal_path(path), 200), LedgerDamagedError, "replaying WAL", id="log"),
    pytest.param(lambda path: overwrite(wal_path(path), 0), LedgerDamagedError, "its log", id="log's beginning"),
    pytest.param(
        lambda path: wal_path(path).write_text("a letter"), LedgerDamagedError, "its log", id="log a text"
    ),
]


@pytest.mark.parametrize(("damage", "error", "sentence"), DAMAGES)
def test_a_damaged_file_is_refused_and_left_byte_for_byte(
    filled: DuckDBLedger, damage: Damage, error: type[LedgerError], sentence: str
) -> None:
    damage(filled.path)
    before = files(filled)
    for window in (
        DuckDBLedger(filled.path).write("x"),
        DuckDBLedger(filled.path).read(),
        filled.write("x"),
        filled.read(),
    ):
        with pytest.raises(error, match=sentence) as caught, window:
            pytest.fail("it is damaged")
        assert "restore" in str(caught.value)
        assert "free space" not in str(caught.value)
    assert files(filled) == before


def test_a_log_of_zeros_is_one_that_a_power_cut_left_unwritten(filled: DuckDBLedger) -> None:
    wal_path(filled.path).write_bytes(bytes(5000))
    with filled.write("x") as tx:
        assert tx.execute("load_run", run_id="run-1")


def test_damage_found_inside_a_window_has_its_own_sentence_and_undoes_the_window(filled: DuckDBLedger) -> None:
    add_document(filled, "large", 1_000_000)
    damage_rows(filled)
    with pytest.raises(LedgerDamagedError, match="restore the file from a backup"), filled.write("x") as tx:
        set_dagster_status(tx, "run-1", "STARTED")
        tx.execute("read_every_row")
    with filled.read() as tx:
        result = tx.rows("load_run", run_id="run-1")
    assert result[0]["dagster_status"] is None


# ---------------------------------------------------------------------- gone, moved, replaced


@pytest.mark.parametrize(
    "go", [Path.unlink, lambda path: path.rename(f"{path}.away"), lambda path: os.truncate(path, 0)]
)
def test_a_ledger_that_was_seen_and_is_gone_is_not_made_anew(filled: DuckDBLedger, go: Damage) -> None:
    go(filled.path)
    before = files(filled)
    for window in (filled.write("x"), filled.read()):
        with pytest.raises(LedgerGoneError, match="was there and is gone"), window:
            pytest.fail("there is none")
    assert files(filled) == before


def test_a_ledger_put_back_goes_on_where_it_was(filled: DuckDBLedger) -> None:
    filled.path.rename(away := filled.path.with_name("away"))
    with pytest.raises(LedgerGoneError), filled.write("x"):
        pytest.fail("there is none")
    away.rename(filled.path)
    with filled.read() as tx:
        assert load_result(tx, "run-1") is not None


def test_a_run_whose_ledger_somebody_else_made_anew_writes_nothing_into_it(new_ledger: DuckDBLedger) -> None:
    run = start(new_ledger, "run-1")
    new_ledger.path.unlink()
    start(DuckDBLedger(new_ledger.path), "run-2")
    with pytest.raises(LedgerReplacedError), run.window("x") as tx:
        set_dagster_status(tx, "run-2", "FAILURE")
    with new_ledger.read() as tx:
        assert [one.dagster_status for one in list_runs(tx, limit=9)] == [None]


# ---------------------------------------------------------------------- disk and rights


def test_a_full_disk_says_so_and_what_was_written_before_stands(ledger: DuckDBLedger) -> None:
    with beside("fill_disk", ledger.path) as full:
        assert full.stdin is not None
        full.stdin.close()
        assert full.stdout is not None
        assert "its disk is full" in full.stdout.read()
        assert full.wait(20) == 0
    with ledger.write("there is space again") as tx:
        set_dagster_status(tx, "run-1", "x" * 400_000)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """One that another user may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("closed", "to_write", "to_read"),
    [
        ("file", "cannot be read: Permission denied", "cannot be read: Permission denied"),
        ("folder", "lock file .* cannot be opened: Permission denied", "lock file .* cannot be opened"),
        ("no writing", "this user may not", "it went"),
    ],
)
def test_missing_rights_are_told_as_such(
    public_folder: Path, empty_file: Path, closed: str, to_write: str, to_read: str
) -> None:
    path = public_folder / "ledger.duckdb"
    shutil.copyfile(empty_file, path)
    path.chmod(0o000 if closed == "file" else 0o444)
    if closed != "folder":
        lock = public_folder / "ledger.duckdb.lock"
        lock.touch()
        lock.chmod(0o666)
    public_folder.chmod(0o555)
    before = path.read_bytes() if os.getuid() == 0 else b""
    command = [sys.executable, "-m", processes.__name__, "without_rights", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    written, read = done.stdout.splitlines()
    assert re.search(to_write, written)
    assert re.search(to_read, read)
    assert "damaged" not in done.stdout
    assert os.getuid() != 0 or path.read_bytes() == before


# ---------------------------------------------------------------------- a DuckDB shell beside us


def shell_says(ledger: DuckDBLedger, *, read_only: bool) -> str:
    command = [sys.executable, "-m", processes.__name__, "shell_meets_window", str(ledger.path), str(read_only)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_shell_is_refused_while_a_write_window_is_open(ledger: DuckDBLedger) -> None:
    with ledger.write("x"):
        for read_only in (True, False):
            said = shell_says(ledger, read_only=read_only)
            assert "Could not set lock on file" in said
            assert "Conflicting lock is held in" in said
    assert shell_says(ledger, read_only=True) == "it opened"


def test_only_a_reading_shell_may_come_beside_a_read_window(ledger: DuckDBLedger) -> None:
    with ledger.read():
        assert shell_says(ledger, read_only=True) == "it opened"
        assert "you would be able to open this database in read-only mode" in shell_says(ledger, read_only=False)


def test_a_reading_shell_keeps_writers_waiting_and_lets_readers_in(ledger: DuckDBLedger) -> None:
    impatient = DuckDBLedger(ledger.path, lock_timeout_seconds=0.3)
    with beside("hold_reading_shell", ledger.path) as shell:
        with impatient.read():
            pass
        with (
            pytest.raises(LedgerError, match=r"was held by .* \(PID \d+\) for .* Close the file there"),
            impatient.write("x"),
        ):
            pytest.fail("the shell has it")
        let_go(shell)
    with impatient.write("x"):
        pass
