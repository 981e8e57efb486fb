import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.duckdb import maintenance
from surgical_pipeline.ledger.duckdb.file import BLOCK_BYTES, wal_bytes, wal_path
from surgical_pipeline.ledger.duckdb.maintenance import backup, compact
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import BackupRefusedError, LedgerDamagedError, LedgerError, LockTimeoutError
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline_tests.integration.ledger import processes
from surgical_pipeline_tests.integration.ledger.duckdb.test_file import schema
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, at, start
from surgical_pipeline_tests.integration.ledger.processes import beside, let_go
from surgical_pipeline_tests.integration.ledger.test_checks import save_everything
from surgical_pipeline_tests.ledger_dump import content_of
from surgical_pipeline_tests.signals import LONG_QUERY, soon_interrupted

Content = dict[str, list[tuple[object, ...]]]
BLOCKS_BEGIN = 12_288


@pytest.fixture
def filled(ledger: DuckDBLedger) -> DuckDBLedger:
    """A ledger with a row in each table and a log beside it."""
    run = start(ledger, "run-1", "acme/rocket#1!2")
    with run.window("all") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
        save_everything(tx, issue_iid=1, mr_iid=2)
    assert wal_bytes(ledger.path)
    return ledger


def add_document(ledger: DuckDBLedger, document_id: str, size: int = 10) -> None:
    with ledger.write("add") as tx:
        tx._connection.execute(
            "INSERT INTO documents SELECT * REPLACE ($id AS document_id, 9 AS iid, $text AS content) "
            "FROM documents LIMIT 1",
            {"id": document_id, "text": os.urandom(size // 2).hex()},
        )


def violations(ledger: DuckDBLedger) -> list[str]:
    with ledger.read() as tx:
        return [violation.invariant for violation in check(tx).violations]


def beside_ledger(ledger: DuckDBLedger) -> set[str]:
    return {path.name for path in ledger.path.parent.iterdir()}


# ---------------------------------------------------------------------- backup


def test_a_backup_is_one_file_with_every_row_that_passes_the_check(filled: DuckDBLedger, tmp_path: Path) -> None:
    made = backup(filled, tmp_path / "copy.duckdb")
    copy = DuckDBLedger(made.path)
    assert content_of(made.path, with_run_columns=True) == content_of(filled.path, with_run_columns=True)
    assert schema(copy) == schema(filled)
    assert violations(copy) == []
    assert made.size_bytes == made.path.stat().st_size
    assert not wal_path(made.path).exists()
    assert not [name for name in beside_ledger(filled) if "partial" in name]


def test_a_log_that_cannot_be_folded_in_now_is_copied_too(filled: DuckDBLedger, tmp_path: Path) -> None:
    """A reader that stays keeps the checkpoint out, but not the copy."""
    patient = DuckDBLedger(filled.path, lock_timeout_seconds=0.2)
    with beside("hold_read", filled.path) as reader:
        made = backup(patient, tmp_path / "copy.duckdb")
        let_go(reader)
    assert wal_bytes(filled.path)
    assert not wal_path(made.path).exists()
    assert content_of(made.path) == content_of(filled.path)


def test_backups_taken_while_others_write_hold_whole_windows(filled: DuckDBLedger, tmp_path: Path) -> None:
    with beside("write_often", filled.path, "beside", 20) as writer:
        assert writer.stdin is not None
        writer.stdin.close()
        copies = [backup(filled, tmp_path / f"copy-{number}.duckdb") for number in range(3)]
        assert writer.wait(60) == 0
    for copy in copies:
        assert violations(DuckDBLedger(copy.path)) == []


def test_a_backup_waits_for_no_writer_beyond_the_limit(filled: DuckDBLedger, tmp_path: Path) -> None:
    impatient = DuckDBLedger(filled.path, lock_timeout_seconds=0.2)
    with beside("hold_write", filled.path), pytest.raises(LockTimeoutError):
        backup(impatient, tmp_path / "copy.duckdb")
    assert not (tmp_path / "copy.duckdb").exists()


def test_a_place_that_is_taken_is_refused_unless_forced(filled: DuckDBLedger, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a letter")
    wal_path(taken).write_text("its log")
    with pytest.raises(BackupRefusedError, match="exists: name another file, or replace it with --force"):
        backup(filled, taken)
    assert taken.read_text() == "a letter"
    backup(filled, taken, force=True)
    assert violations(DuckDBLedger(taken)) == []


@pytest.mark.parametrize("name", ["ledger.duckdb", "ledger.duckdb.wal", "ledger.duckdb.lock", "link", "hard"])
def test_the_ledger_itself_is_never_overwritten(filled: DuckDBLedger, name: str) -> None:
    folder = filled.path.parent
    (folder / "link").symlink_to(filled.path)
    os.link(filled.path, folder / "hard")
    before = filled.path.read_bytes()
    with pytest.raises(BackupRefusedError, match="is the ledger itself"):
        backup(filled, folder / name, force=True)
    assert filled.path.read_bytes() == before


def test_a_folder_or_a_place_in_no_folder_is_refused(filled: DuckDBLedger, tmp_path: Path) -> None:
    with pytest.raises(BackupRefusedError, match="is a folder"):
        backup(filled, tmp_path)
    with pytest.raises(BackupRefusedError, match="does not exist: create it first"):
        backup(filled, tmp_path / "nowhere" / "copy")


def test_a_damaged_ledger_replaces_no_good_backup(filled: DuckDBLedger, tmp_path: Path) -> None:
    add_document(filled, "large", 1_000_000)
    good = backup(filled, tmp_path / "copy.duckdb").path
    before = good.read_bytes()
    damage_rows(filled)
    with pytest.raises(LedgerDamagedError):
        backup(filled, good, force=True)
    assert good.read_bytes() == before
    assert "copy.duckdb.partial" not in beside_ledger(filled)


def damage_rows(ledger: DuckDBLedger) -> None:
    """Overwrite the middle of the rows, as a dying disk does; the file still opens."""
    with duckdb.connect(str(ledger.path)) as connection:
        connection.execute("CHECKPOINT")
        ((block,),) = connection.execute(
            "SELECT max(block_id) FROM pragma_storage_info('documents') WHERE column_name = 'content'"
        ).fetchall()
    with ledger.path.open("r+b") as file:
        file.seek(BLOCKS_BEGIN + block * BLOCK_BYTES + 5_000)
        file.write(os.urandom(5_000))


# ---------------------------------------------------------------------- compact


def test_compacting_keeps_schema_and_rows_and_gives_back_room(filled: DuckDBLedger) -> None:
    for number in range(8):
        add_document(filled, f"large-{number}", 500_000)
    filled.checkpoint()
    with filled.write("delete") as tx:
        tx._connection.execute("DELETE FROM documents WHERE iid = 9")
    before, known = content_of(filled.path, with_run_columns=True), schema(filled)
    done = compact(filled)
    assert done.bytes_after < done.bytes_before
    assert done.bytes_after == filled.path.stat().st_size
    assert content_of(filled.path, with_run_columns=True) == before
    assert schema(filled) == known
    assert beside_ledger(filled) == {"ledger.duckdb", "ledger.duckdb.lock"}


def test_a_compacted_ledger_has_the_schema_of_a_fresh_one_and_still_enforces_it(
    filled: DuckDBLedger, empty_file: Path
) -> None:
    compact(filled)
    assert schema(filled) == schema(DuckDBLedger(empty_file))
    for statement in ("INSERT INTO sync_runs FROM sync_runs", "UPDATE sync_runs SET mode = 'x'"):
        with pytest.raises(duckdb.ConstraintException), filled.write("x") as tx:
            tx._connection.execute(statement)
    assert SyncRunRecorder(filled, "run-1").finish_succeeded()


def test_compacting_mends_indexes_that_lost_a_row(filled: DuckDBLedger) -> None:
    recorder = SyncRunRecorder(filled, "run-1")
    filled.checkpoint()
    take_run_out_of_indexes(filled.path)
    with pytest.raises(LedgerDamagedError, match=r"Failed to delete all rows from index.*ledger compact"):
        recorder.finish_succeeded()
    compact(filled)
    assert recorder.finish_succeeded()


def take_run_out_of_indexes(path: Path) -> None:
    """Rename run-1 in each index, not in the tables, with block checksums that agree: like a defect of DuckDB.

    An index's block begins with a bit for each of its places, 1 for a free one; its keys follow.
    """
    data = bytearray(path.read_bytes())
    for key in re.finditer(rb"\xff{8}[^\xff]{1,16}run-1\0", bytes(data)):
        data[key.end() - 2] = ord("2")
        block = key.start() - (key.start() - BLOCKS_BEGIN) % BLOCK_BYTES
        checksum = 5381
        for (word,) in struct.iter_unpack("<Q", data[block + 8 : block + BLOCK_BYTES]):
            checksum ^= word * 0xBF58476D1CE4E5B9 % 2**64
        data[block : block + 8] = checksum.to_bytes(8, "little")
    path.write_bytes(data)


def test_the_file_keeps_its_rights_and_other_windows_of_a_run_go_on(filled: DuckDBLedger) -> None:
    filled.path.chmod(0o640)
    running = SyncRunRecorder(DuckDBLedger(filled.path), "run-1")
    with running.window("before"):
        pass
    compact(filled)
    with running.window("after"):
        pass
    assert filled.path.stat().st_mode & 0o777 == 0o640


def test_a_shell_that_has_the_file_open_is_waited_for(filled: DuckDBLedger) -> None:
    impatient = DuckDBLedger(filled.path, lock_timeout_seconds=0.2)
    before = filled.path.read_bytes()
    with beside("hold_shell", filled.path), pytest.raises(LockTimeoutError):
        compact(impatient)
    assert filled.path.read_bytes() == before


def test_a_damaged_ledger_is_left_as_it_is(filled: DuckDBLedger) -> None:
    add_document(filled, "large", 1_000_000)
    damage_rows(filled)
    before = filled.path.read_bytes()
    with pytest.raises(LedgerError):
        compact(filled)
    assert filled.path.read_bytes() == before
    assert not [name for name in beside_ledger(filled) if "compacting" in name]


def deaths(ledger: DuckDBLedger) -> Iterator[int]:
    """Compact in a process that kills itself at its 1st, 2nd, … step on the file system, until one survives."""
    for step in range(1, 200):
        command = [sys.executable, "-m", processes.__name__, "compact_and_die", str(ledger.path), str(step)]
        code = subprocess.run(command, check=False, timeout=60).returncode
        if code == 0:
            return
        assert code == -signal.SIGKILL
        yield step
    pytest.fail("it never came to its end")


def test_a_kill_at_any_step_leaves_a_good_ledger(filled: DuckDBLedger) -> None:
    add_document(filled, "large", 1_000_000)
    before = content_of(filled.path, with_run_columns=True)
    steps = 0
    for _ in deaths(filled):
        steps += 1
        again = DuckDBLedger(filled.path)
        with again.read() as tx:
            assert check(tx).rows["documents"] == len(before["documents"])
        assert content_of(filled.path, with_run_columns=True) == before
        with SyncRunRecorder(again, "run-1").window("it can be written"):
            pass
    assert steps > 8
    assert beside_ledger(filled) == {"ledger.duckdb", "ledger.duckdb.lock"}


def test_ctrl_c_while_rows_are_copied_leaves_the_old_ledger(
    filled: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(connection: duckdb.DuckDBPyConnection, *_: Path) -> None:
        connection.execute(LONG_QUERY)

    monkeypatch.setattr(maintenance, "_copy_all", copy)
    before = content_of(filled.path)
    with pytest.raises(KeyboardInterrupt), soon_interrupted():
        compact(filled)
    assert content_of(filled.path) == before
    assert not list(filled.path.parent.glob("*.compacting"))


def test_a_kill_while_rows_are_copied_leaves_the_old_ledger_and_the_next_compaction_tidies_up(
    filled: DuckDBLedger,
) -> None:
    for number in range(10):
        add_document(filled, f"large-{number}", 2_000_000)
    filled.checkpoint()
    before = filled.path.read_bytes()
    fresh = filled.path.with_name("ledger.duckdb.compacting")
    command = [sys.executable, "-m", processes.__name__, "compact_and_die", str(filled.path), "999"]
    with subprocess.Popen(command) as process:
        while not fresh.exists():
            assert process.poll() is None, "it was too quick to be killed"
            time.sleep(0.001)
        process.kill()
    assert fresh.exists()
    assert filled.path.read_bytes() == before
    compact(filled)
    with filled.read() as tx:
        assert check(tx).rows["documents"] == 12
    assert beside_ledger(filled) == {"ledger.duckdb", "ledger.duckdb.lock"}
