"""One contract, two databases: tests that take ``ledger`` or ``new_ledger`` run on each."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.integration.ledger.examples import HandClock, read_sql, run_sql
from surgical_pipeline_tests.postgres_server import PostgresServer

LOCK_TIMEOUT_SECONDS = 20


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["duckdb", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """Where the ledger is; tests of one database alone have a fixture of this name that says which."""
    return str(request.param)


@pytest.fixture
def new_ledger(backend: str, tmp_path: Path, clock: HandClock, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger to which nothing was ever written."""
    if backend == "duckdb":
        yield DuckDBLedger(tmp_path / "ledger.duckdb", lock_timeout_seconds=LOCK_TIMEOUT_SECONDS, clock=clock)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.temporary() as database:
        yield server.ledger(database, lock_timeout_seconds=LOCK_TIMEOUT_SECONDS, clock=clock)


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger file with schema and no row, made once because that takes longer than copying it."""
    path = tmp_path_factory.mktemp("empty") / "ledger.duckdb"
    with DuckDBLedger(path).write("make"):
        pass
    duckdb.connect(str(path)).close()  # folds the log in
    return path


@pytest.fixture(scope="session")
def used_database(postgres: PostgresServer) -> str:
    """A database with a ledger for one test after the other: making one takes longer than emptying it."""
    return postgres.new_database()


@pytest.fixture
def ledger(backend: str, tmp_path: Path, clock: HandClock, request: pytest.FixtureRequest) -> Ledger:
    """A ledger with its schema and no row."""
    if backend == "duckdb":
        path = tmp_path / "ledger.duckdb"
        shutil.copyfile(request.getfixturevalue("empty_file"), path)
        return DuckDBLedger(path, lock_timeout_seconds=LOCK_TIMEOUT_SECONDS, clock=clock)
    server: PostgresServer = request.getfixturevalue("postgres")
    database: str = request.getfixturevalue("used_database")
    with server.ledger(database).write("empty") as tx:
        for (table,) in read_sql(tx, "SELECT tablename FROM pg_tables WHERE schemaname = 'main'"):
            if table != "schema_migrations":
                run_sql(tx, f"DELETE FROM {table}")
    return server.ledger(database, lock_timeout_seconds=LOCK_TIMEOUT_SECONDS, clock=clock)
