import shutil
from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.ledger.examples import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def new_ledger(tmp_path: Path, clock: HandClock) -> DuckDBLedger:
    """A ledger whose file does not exist yet."""
    return DuckDBLedger(tmp_path / "ledger.duckdb", lock_timeout_seconds=20, clock=clock)


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger file with schema and no row, made once because that takes longer than copying it."""
    path = tmp_path_factory.mktemp("empty") / "ledger.duckdb"
    with DuckDBLedger(path).write("make"):
        pass
    duckdb.connect(str(path)).close()  # folds the log in
    return path


@pytest.fixture
def ledger(new_ledger: DuckDBLedger, empty_file: Path) -> DuckDBLedger:
    """A ledger with its schema and no row."""
    shutil.copyfile(empty_file, new_ledger.path)
    return new_ledger
