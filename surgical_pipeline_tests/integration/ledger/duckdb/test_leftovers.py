"""What killed backups and compactions left goes; what is under way, and what is somebody else's, stays."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from surgical_pipeline.ledger.disk import allocated
from surgical_pipeline.ledger.duckdb import maintenance
from surgical_pipeline.ledger.duckdb.leftovers import PARTIAL, owned, remove_leftovers
from surgical_pipeline.ledger.duckdb.maintenance import backup, compact
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger


def beside(ledger: DuckDBLedger) -> set[str]:
    return {path.name for path in ledger.path.parent.iterdir()} - {"ledger.duckdb", "ledger.duckdb.lock"}


def plant(ledger: DuckDBLedger, name: str) -> Path:
    """A database of that name, as a kill leaves it."""
    return Path(shutil.copyfile(ledger.path, ledger.path.with_name(name)))


def test_a_ledger_without_leftovers_is_not_even_locked(ledger: DuckDBLedger) -> None:
    windows = ledger.stats.windows
    assert remove_leftovers(ledger) == (0, 0)
    assert remove_leftovers(DuckDBLedger(ledger.path.with_name("none.duckdb"))) == (0, 0)
    assert ledger.stats.windows == windows


def test_what_a_killed_backup_and_a_killed_compaction_left_goes(ledger: DuckDBLedger) -> None:
    paths = [plant(ledger, "friday.duckdb.partial"), plant(ledger, "ledger.duckdb.compacting")]
    for name in ("friday.duckdb.partial.wal", "ledger.duckdb.compacting.wal"):
        paths.append(ledger.path.with_name(name))
        paths[-1].write_bytes(bytes(100))
    spilled = ledger.path.with_name("ledger.duckdb.compacting.tmp")
    spilled.mkdir()
    (spilled / "duckdb_temp_storage-0.tmp").write_bytes(bytes(5000))
    size = sum(map(allocated, [*paths, spilled]))
    assert size >= 2 * ledger.path.stat().st_size
    assert remove_leftovers(ledger, dry_run=True) == (5, size)
    assert len(beside(ledger)) == 5
    assert remove_leftovers(ledger) == (5, size)
    assert beside(ledger) == set()


def test_a_backup_that_was_killed_before_its_first_byte_leaves_nothing_either(ledger: DuckDBLedger) -> None:
    ledger.path.with_name("b.partial").touch()
    ledger.path.with_name("b.partial.wal").write_bytes(b"log")
    assert remove_leftovers(ledger)[0] == 2
    assert beside(ledger) == set()


def test_a_download_of_another_program_stays(ledger: DuckDBLedger) -> None:
    theirs = {"film.partial": b"film", "empty.partial": b"", "other.duckdb.compacting": b"", "x.partial.zip": b"z"}
    for name, content in theirs.items():
        ledger.path.with_name(name).write_bytes(content)
    ledger.path.with_name("folder.partial").mkdir()
    assert remove_leftovers(ledger) == (0, 0)
    assert beside(ledger) == {*theirs, "folder.partial"}


def test_a_file_that_somebody_owns_stays_with_its_log(ledger: DuckDBLedger) -> None:
    partial = plant(ledger, "friday.duckdb.partial")
    partial.with_name("friday.duckdb.partial.wal").write_bytes(b"log")
    with owned(partial):
        assert remove_leftovers(ledger) == (0, 0)
        assert len(beside(ledger)) == 2
    assert remove_leftovers(ledger)[0] == 2


KILLED_WHILE_IT_READS = """
import os, signal, sys
from pathlib import Path
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
with DuckDBRows(DuckDBLedger(Path(sys.argv[1]))).reading():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_is_copied_to_another_database_is_owned_while_it_is_read_and_gone_then(ledger: DuckDBLedger) -> None:
    with DuckDBRows(ledger).reading() as (tx, _):
        assert tx.column("read_schema_version")
        (copy,) = beside(ledger)
        assert copy.endswith(PARTIAL)
        assert remove_leftovers(ledger) == (0, 0)
    assert beside(ledger) == set()


def test_what_a_killed_copy_to_another_database_left_goes(ledger: DuckDBLedger) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_READS, str(ledger.path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(beside(ledger)) == 1
    assert remove_leftovers(ledger)[0] == 1
    assert beside(ledger) == set()


def test_a_backup_owns_its_file_until_it_has_its_name(
    ledger: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = maintenance._fingerprints, list[tuple[int, int]]()

    def looked(one: DuckDBLedger, path: Path) -> list[tuple[Any, ...]]:
        seen.append(remove_leftovers(ledger))
        return real(one, path)

    monkeypatch.setattr(maintenance, "_fingerprints", looked)
    made = backup(ledger, ledger.path.with_name("friday.duckdb"))
    assert seen == [(0, 0)]
    assert made.path.exists()
    assert remove_leftovers(ledger) == (0, 0)


def test_a_compaction_leaves_nothing(ledger: DuckDBLedger) -> None:
    compact(ledger)
    assert remove_leftovers(ledger) == (0, 0)
    assert beside(ledger) == set()
