"""A program beside a newer one: after a migration it goes on, or stops before its next window."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.copying import copy_ledger, copy_to_read
from surgical_pipeline.ledger.duckdb.maintenance import backup, compact
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerVersionError
from surgical_pipeline.ledger.postgres.rows import PostgresRows
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.rows import RowLedger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.integration.dataset.everything import filled_ledger
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, at, read_sql, start
from surgical_pipeline_tests.newer_schema import KNOWN, contraction, expansion, newer


def migrate(ledger: Ledger, *later: sql.Migration) -> None:
    with newer(ledger, *later).write("migrate"):
        pass


def versions(ledger: Ledger) -> Sequence[tuple[object, ...]]:
    with ledger.read() as tx:
        return read_sql(tx, f"SELECT version, oldest_program FROM schema_migrations WHERE version > {KNOWN}")


def test_a_run_goes_on_and_ends_after_a_newer_program_has_expanded_the_ledger(new_ledger: Ledger) -> None:
    run = start(new_ledger, "run-1")
    later = expansion()
    migrate(new_ledger, later)
    with run.window("project") as tx:
        upsert_project(tx, "run-1", PROJECT, at(1))
    assert run.finish_succeeded()
    for each in (new_ledger, newer(new_ledger, later)):
        with each.read() as tx:
            assert load_result(tx, "run-1") is not None
            assert read_sql(tx, f"SELECT path, of_later_{KNOWN + 1} FROM projects") == [(PROJECT.path, "later")]
    assert versions(new_ledger) == [(KNOWN + 1, KNOWN)]


def test_a_run_stops_before_its_next_window_if_a_newer_program_says_so(new_ledger: Ledger) -> None:
    run = start(new_ledger, "run-1")
    later = contraction()
    migrate(new_ledger, later)
    says = (
        f"schema version {KNOWN + 1}, this program knows versions up to {KNOWN} and would have to know {KNOWN + 1}"
    )
    with pytest.raises(LedgerVersionError, match=says), run.window("project"):
        pytest.fail("it is too old to write")
    with pytest.raises(LedgerVersionError, match=says), new_ledger.read():
        pytest.fail("it is too old to read")
    with newer(new_ledger, later).read() as tx:
        assert read_sql(tx, "SELECT status FROM sync_runs") == [("running",)]
        assert read_sql(tx, "SELECT * FROM projects") == []


def test_what_an_older_migration_demands_still_holds_after_a_tolerant_one(new_ledger: Ledger) -> None:
    start(new_ledger, "run-1")
    strict, tolerant = contraction(), expansion(version=KNOWN + 2)
    migrate(new_ledger, strict, tolerant)
    with pytest.raises(LedgerVersionError) as caught, new_ledger.write("too old"):
        pytest.fail("it knows one version too few")
    assert (caught.value.found, caught.value.known, caught.value.needed) == (KNOWN + 2, KNOWN, KNOWN + 1)
    with newer(new_ledger, strict).write("between the two") as tx:
        upsert_project(tx, "run-1", PROJECT, at(1))


def test_a_migration_that_states_nothing_tolerates_nobody(new_ledger: Ledger) -> None:
    start(new_ledger, "run-1")
    migrate(new_ledger, sql.Migration(KNOWN + 1, "silent", "CREATE TABLE silent (number BIGINT);"))
    with pytest.raises(LedgerVersionError), new_ledger.write("too old"):
        pytest.fail("nobody said that it may")


def test_what_handles_all_tables_refuses_those_that_it_does_not_know(new_ledger: Ledger, tmp_path: Path) -> None:
    """A copy without them would be less than the ledger, and nobody would see it."""
    start(new_ledger, "run-1")
    migrate(new_ledger, expansion())
    with pytest.raises(LedgerVersionError):
        copy_ledger(rows_of(new_ledger), DuckDBRows(DuckDBLedger(tmp_path / "copy.duckdb")))
    if isinstance(new_ledger, DuckDBLedger):
        with pytest.raises(LedgerVersionError):
            compact(new_ledger)
        assert backup(new_ledger, tmp_path / "backup.duckdb").size_bytes > 0


def test_an_older_program_copies_for_readers_what_it_knows(new_ledger: Ledger, tmp_path: Path) -> None:
    copy_ledger(DuckDBRows(filled_ledger(tmp_path / "filled.duckdb")), rows_of(new_ledger))
    migrate(new_ledger, expansion())
    copy = DuckDBLedger(tmp_path / "copy.duckdb")
    copy_to_read(rows_of(new_ledger), DuckDBRows(copy), without=["embeddings"])
    with new_ledger.read() as tx, copy.read() as copied:
        notes = "SELECT note_id, author FROM notes ORDER BY note_id"
        assert read_sql(copied, notes) == read_sql(tx, notes) != []
        assert len(read_sql(copied, "SELECT document_id FROM embeddings")) == 1


def rows_of(ledger: Ledger) -> RowLedger:
    if isinstance(ledger, PostgresLedger):
        return PostgresRows(ledger)
    assert isinstance(ledger, DuckDBLedger)
    return DuckDBRows(ledger)


class TestOnPostgres:
    """On a file, one window at a time has all of it."""

    @pytest.fixture
    def backend(self) -> str:
        return "postgres"

    def test_migrations_wait_for_windows_that_looked_at_the_older_schema(self, new_ledger: Ledger) -> None:
        """Two want to migrate while an old one writes: that ends first, then they take turns."""
        run = start(new_ledger, "run-1")
        later = contraction()
        further = (later, expansion(version=KNOWN + 2))
        with ThreadPoolExecutor() as threads:
            with run.window("project") as tx:
                migrating = [threads.submit(migrate, new_ledger, *each) for each in ((later,), further)]
                waiting = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
                wait_until(lambda: read_sql(tx, waiting) == [(2,)], limit_seconds=20, what="both wait")
                upsert_project(tx, "run-1", PROJECT, at(1))
            for one in migrating:
                one.result(20)
        newest = newer(new_ledger, *further)
        assert versions(newest) == [(KNOWN + 1, None), (KNOWN + 2, KNOWN)]
        with newest.read() as tx:
            assert read_sql(tx, "SELECT path FROM projects") == [(PROJECT.path,)]
