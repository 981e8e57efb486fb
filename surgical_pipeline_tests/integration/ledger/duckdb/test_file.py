from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.duckdb.file import wal_path
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerVersionError
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, at, start

KNOWN = sql.migrations()[-1].version
NEXT = sql.Migration(
    version=KNOWN + 1,
    name="add_colour",
    text="ALTER TABLE projects ADD COLUMN colour VARCHAR; CREATE INDEX idx_projects_colour ON projects (colour);",
)


def schema(ledger: DuckDBLedger) -> list[tuple[object, ...]]:
    """Everything the file's catalog says of tables, columns, constraints, indexes, views and macros."""
    with ledger.read() as tx:
        connection = tx._connection
        return [
            *connection.execute("SELECT sql FROM duckdb_tables() ORDER BY sql").fetchall(),
            *connection.execute("SELECT sql FROM duckdb_indexes() ORDER BY sql").fetchall(),
            *connection.execute("SELECT sql FROM duckdb_views() WHERE NOT internal ORDER BY sql").fetchall(),
            *connection.execute(
                "SELECT function_name, macro_definition FROM duckdb_functions() WHERE NOT internal ORDER BY ALL"
            ).fetchall(),
            *connection.execute("SELECT version, name FROM schema_migrations ORDER BY version").fetchall(),
        ]


def test_a_migrated_file_has_the_schema_of_a_fresh_one(tmp_path: Path) -> None:
    migrations = (*sql.migrations(), NEXT)
    fresh = DuckDBLedger(tmp_path / "fresh.duckdb", migrations=migrations)
    with fresh.write("make"):
        pass
    start(DuckDBLedger(tmp_path / "old.duckdb"), "run-1")
    migrated = DuckDBLedger(tmp_path / "old.duckdb", migrations=migrations)
    with migrated.write("migrate"):
        pass
    assert schema(migrated) == schema(fresh)
    with migrated.read() as tx:
        assert load_result(tx, "run-1") is not None


def test_a_migration_finds_the_rows_of_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "old.duckdb"
    with DuckDBLedger(path).write("fill") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
    text = f"{NEXT.text} UPDATE projects SET colour = 'red as ' || path;"
    painted = sql.Migration(version=NEXT.version, name=NEXT.name, text=text)
    with DuckDBLedger(path, migrations=(*sql.migrations(), painted)).read() as tx:
        found = tx._connection.execute("SELECT project_id, colour FROM projects").fetchall()
    assert found == [(PROJECT.project_id, f"red as {PROJECT.path}")]


def test_a_read_migrates_a_file_of_an_older_version_first(tmp_path: Path) -> None:
    start(DuckDBLedger(tmp_path / "old.duckdb"), "run-1")
    newer = DuckDBLedger(tmp_path / "old.duckdb", migrations=(*sql.migrations(), NEXT))
    with newer.read() as tx:
        assert tx.execute("read_schema_version") == [(NEXT.version,)]


def test_a_failing_migration_leaves_neither_change_nor_record(tmp_path: Path) -> None:
    path = tmp_path / "old.duckdb"
    start(DuckDBLedger(path), "run-1")
    before = schema(DuckDBLedger(path))
    half = sql.Migration(version=NEXT.version, name="half", text=f"{NEXT.text} SELECT no_such_thing;")
    with (
        pytest.raises(duckdb.BinderException),
        DuckDBLedger(path, migrations=(*sql.migrations(), half)).write("x"),
    ):
        pytest.fail("the migration fails")
    assert schema(DuckDBLedger(path)) == before


def test_a_file_of_a_newer_version_is_refused_and_stays_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    start(DuckDBLedger(path, migrations=(*sql.migrations(), NEXT)), "run-1")
    files = (path, wal_path(path))
    before = [file.read_bytes() for file in files]
    for window in (DuckDBLedger(path).write("x"), DuckDBLedger(path).read()):
        with pytest.raises(
            LedgerVersionError, match=f"schema version {NEXT.version}, this program knows versions up to {KNOWN}"
        ) as caught:
            with window:
                pytest.fail("the file is too new")
        assert (caught.value.found, caught.value.known) == (NEXT.version, KNOWN)
    assert [file.read_bytes() for file in files] == before


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.version for migration in sql.migrations()] == list(range(1, len(sql.migrations()) + 1))
