"""Who may read the files: their owner alone, whatever the umask, until somebody says otherwise."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger.duckdb.file import wal_path
from surgical_pipeline.ledger.duckdb.maintenance import backup, compact
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import set_dagster_status
from surgical_pipeline_tests.integration.ledger.examples import start


@pytest.fixture(params=[0o000, 0o022, 0o077], autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(ledger: DuckDBLedger) -> None:
    with ledger.write("something") as tx:
        set_dagster_status(tx, "run-1", str(ledger.stats.windows))


def files(ledger: DuckDBLedger) -> tuple[Path, Path, Path]:
    return ledger.path, wal_path(ledger.path), Path(f"{ledger.path}.lock")


def test_ledger_log_and_lock_are_private(new_ledger: DuckDBLedger) -> None:
    start(new_ledger, "run-1")
    assert [mode(path) for path in files(new_ledger)] == [0o600] * 3
    new_ledger.checkpoint()
    write(new_ledger)
    assert [mode(path) for path in files(new_ledger)] == [0o600] * 3


def test_modes_that_somebody_has_set_stay_and_the_log_follows_the_ledger(new_ledger: DuckDBLedger) -> None:
    start(new_ledger, "run-1")
    for path in files(new_ledger):
        path.chmod(0o660)
    new_ledger.checkpoint()
    write(new_ledger)
    assert [mode(path) for path in files(new_ledger)] == [0o660] * 3
    compact(new_ledger)
    write(new_ledger)
    assert [mode(path) for path in files(new_ledger)] == [0o660] * 3


def test_a_lock_that_is_made_anew_lets_in_who_may_write_the_ledger(new_ledger: DuckDBLedger) -> None:
    start(new_ledger, "run-1")
    new_ledger.path.chmod(0o640)
    Path(f"{new_ledger.path}.lock").unlink()
    write(new_ledger)
    assert mode(Path(f"{new_ledger.path}.lock")) in {0o640, 0o600}, (
        "no wider than the ledger; the umask may narrow it"
    )


def test_a_backup_is_private_and_a_replaced_one_keeps_its_mode(new_ledger: DuckDBLedger, tmp_path: Path) -> None:
    start(new_ledger, "run-1")
    new_ledger.path.chmod(0o644)
    copy = tmp_path / "copy.duckdb"
    backup(new_ledger, copy)
    assert mode(copy) == 0o600
    copy.chmod(0o640)
    write(new_ledger)
    backup(new_ledger, copy, force=True)
    assert mode(copy) == 0o640


def test_the_folder_of_snapshots_is_private(tmp_path: Path) -> None:
    snapshots = SnapshotFile(tmp_path / "snapshots" / "run-1.jsonl")
    snapshots.append(())
    assert (mode(snapshots.path.parent), mode(snapshots.path)) == (0o700, 0o600)
