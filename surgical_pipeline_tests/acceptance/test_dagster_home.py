"""A DAGSTER_HOME that is full, read-only, damaged or no folder: a clear line from each command and from doctor."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from surgical_pipeline.defs.dagster_home import LOCK_NAME
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.conftest import Sync

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
WRITING = [["sync", "acme/rocket#13", "--json"], ["embed-backlog", "--json"]]
COMMANDS = [*WRITING, ["runs", "reconcile"]]
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
FULL_AT = 100_000
"""Bytes: less than Dagster's files have already."""


@pytest.fixture
def used(sync: Sync, ledger: DuckDBLedger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that a sync has used; the ledger lies elsewhere, where nothing is wrong."""
    sync("acme/rocket#12")
    ledger.checkpoint()
    elsewhere = tmp_path_factory.mktemp("ledger")
    shutil.copyfile(ledger.path, elsewhere / "ledger.duckdb")
    for path in (elsewhere, elsewhere / "ledger.duckdb"):
        path.chmod(0o777)
    return elsewhere / "ledger.duckdb"


def called(
    *command: str, ledger: Path, prepare: Callable[[], None] = lambda: None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, *command],
        env=os.environ | {"SURGICAL_LEDGER": str(ledger)},
        cwd=ledger.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=prepare,
    )


def assert_told(
    home: Path,
    ledger: Path,
    sentence: str,
    *,
    advice: str,
    commands: list[list[str]] = COMMANDS,
    prepare: Callable[[], None] = lambda: None,
) -> None:
    for command in commands:
        done = called(*command, ledger=ledger, prepare=prepare)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert f"Dagster's storage in DAGSTER_HOME {home} cannot be used: " in done.stderr
        assert sentence in done.stderr
        assert advice in done.stderr
    doctor = called("doctor", ledger=ledger, prepare=prepare)
    assert doctor.returncode == 1
    assert "FAIL\tdagster\tcannot be used" in doctor.stdout
    assert advice in " ".join(doctor.stdout.split())


def test_a_damaged_storage(used: Path, home: Path) -> None:
    (home / "history" / "runs.db").write_bytes(os.urandom(9000))
    assert_told(home, used, "file is not a database", advice="Restore the folders history and schedules")


def test_a_file_where_dagster_wants_a_folder(used: Path, home: Path) -> None:
    shutil.rmtree(home / "history")
    (home / "history").write_text("a letter")
    assert_told(home, used, f"{home}/history", advice="Give this user the right to write")


def test_a_full_disk(used: Path, home: Path) -> None:
    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_AT, resource.RLIM_INFINITY))

    assert (home / "history" / "runs.db").stat().st_size > FULL_AT
    assert_told(home, used, "I/O error", advice="Free space on its disk", commands=WRITING, prepare=full)
    looked = called("runs", "reconcile", ledger=used, prepare=full)
    assert (looked.returncode, "Error" in looked.stderr) == (0, False), "there is nothing to write"


def test_a_folder_that_this_user_may_not_write(used: Path, home: Path) -> None:
    for path in (home, home / "history", home / "history" / "runs.db"):
        path.chmod(0o500)
    try:
        assert_told(
            home,
            used,
            "readonly database",
            advice="Give this user the right to write",
            commands=WRITING,
            prepare=bound_by_modes,
        )
        (home / LOCK_NAME).unlink()
        assert_told(
            home, used, "Permission denied", advice="Give this user the right to write", prepare=bound_by_modes
        )
    finally:
        home.chmod(0o700)


def bound_by_modes() -> None:
    """Root without its privilege to read and write whatever it likes."""
    if os.getuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def test_no_folder_is_wrong_usage(used: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster.yaml"))
    for command in COMMANDS:
        done = called(*command, ledger=used)
        assert done.returncode == 2, done.stderr
        assert f"DAGSTER_HOME {home / 'dagster.yaml'} is no folder" in done.stderr
    doctor = called("doctor", ledger=used)
    assert doctor.returncode == 1
    assert "is no folder" in " ".join(doctor.stdout.split())


def test_a_storage_in_postgresql_that_is_not_there_is_told_as_that(home: Path, ledger: DuckDBLedger) -> None:
    settings = "storage: {postgres: {postgres_url: 'postgresql+psycopg2://nobody:a-secret@127.0.0.1:1/nothing'}}\n"
    (home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{settings}")
    done = called("runs", "reconcile", ledger=ledger.path)
    assert done.returncode == 1
    assert "It is the database that dagster.yaml names under storage" in done.stderr
    assert "a-secret" not in done.stderr
    assert "Traceback" not in done.stderr
