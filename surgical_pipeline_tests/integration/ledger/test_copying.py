"""A ledger in another database: the same rows, whichever way it goes, and only where it belongs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.copying import copy_ledger
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.embeddings import DocumentVectors, write_vectors
from surgical_pipeline.ledger.errors import BackupRefusedError, LedgerError, LedgerMissingError
from surgical_pipeline.ledger.inbox import insert_events
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.ledger.postgres.rows import PostgresRows
from surgical_pipeline.ledger.rows import TABLES, RowLedger
from surgical_pipeline.ledger.runs import ledger_name
from surgical_pipeline.ledger.search import Filters, rank_by_words
from surgical_pipeline.search.question import Question
from surgical_pipeline_tests.integration.ledger.examples import (
    MODEL,
    PROJECT,
    AnyLedger,
    at,
    discussion,
    discussions,
    document,
    entity,
    issue,
    issue_event,
    linked,
    note,
    read_sql,
    run_sql,
    start,
)
from surgical_pipeline_tests.postgres_server import PostgresServer

TITLE = "Ünïcode 漢字 {}' ,"


def rows_of(ledger: AnyLedger) -> RowLedger:
    return DuckDBRows(ledger) if isinstance(ledger, DuckDBLedger) else PostgresRows(ledger)


@pytest.fixture
def other(backend: str, tmp_path: Path, postgres: PostgresServer) -> Iterator[AnyLedger]:
    """A new ledger in the other database."""
    if backend == "postgres":
        yield DuckDBLedger(tmp_path / "other.duckdb")
    else:
        with postgres.temporary() as database:
            yield postgres.ledger(database)


@pytest.fixture
def filled(ledger: AnyLedger) -> AnyLedger:
    """With a row in each table, and with what is easily lost on the way."""
    run = start(ledger, "run-1", "acme/rocket#1+2")
    with run.window("all") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0.123456))
        upsert_entities(tx, "run-1", [entity(issue(1), title=TITLE), entity(issue(2), fetched=0.5)])
        talk = discussions(issue(1), discussion("d", note(1, text=r"a\nb \u00e9 {}")))
        replace_dependents(tx, "run-1", 7, [talk, linked(issue(1), Dependent.LINKS, ["x"])])
        sources = load_sources(tx, 7, [issue(1), issue(2)])
        made = [document(f"doc{one.key}", one.key, content=f"zebra {one.key}\r\n\\.") for one in sources]
        batch = [EntityDocuments(one.key, one.version, (two,)) for one, two in zip(sources, made, strict=True)]
        write_documents(tx, "run-1", 7, batch)
        vectors = ((0.1, -1e-30), (1 / 3, 3e30))
        write_vectors(tx, "run-1", [DocumentVectors("doc#1", made[0].content_hash, MODEL, 2, vectors)])
        insert_events(tx, [issue_event("one", 1)])
        run_sql(tx, "INSERT INTO ledger_gitlab (gitlab_url, known_since) VALUES ('https://a.test', now())")
        run_sql(tx, "INSERT INTO pruned_failures VALUES ('2026-05-04', 'TIMEOUT', 1, 2)")
    run.finish_failed(Failure(code=FailureCode.SERVER_ERROR, message="500", stage="ingest"))
    return ledger


def test_every_row_of_every_table_is_in_the_copy_which_is_the_same_ledger(
    filled: AnyLedger, other: AnyLedger
) -> None:
    done = copy_ledger(rows_of(filled), rows_of(other))
    assert done.tables.keys() == TABLES.keys()
    assert {name for name, table in done.tables.items() if not table.rows} <= {
        "resource_events",
        "hook_deliveries",
    }
    with filled.read() as tx, other.read() as copied:
        assert check(copied).violations == ()
        assert ledger_name(copied) == ledger_name(tx)
        assert copied.rows("load_run", run_id="run-1") == tx.rows("load_run", run_id="run-1")
        assert read_sql(copied, "SELECT title FROM entities ORDER BY iid") == [
            (TITLE,),
            ("Engine",),
        ]
        assert rank_by_words(copied, Question.of("zebra"), filters=Filters(), depth=9) == ["doc#1", "doc#2"]


def test_a_copy_of_the_copy_in_the_first_database_has_the_same_fingerprints(
    filled: AnyLedger, other: AnyLedger, tmp_path: Path, postgres: PostgresServer
) -> None:
    there = copy_ledger(rows_of(filled), rows_of(other))
    with postgres.temporary() as database:
        in_first = isinstance(filled, DuckDBLedger)
        back: AnyLedger = DuckDBLedger(tmp_path / "back.duckdb") if in_first else postgres.ledger(database)
        again = copy_ledger(rows_of(other), rows_of(back))
    prints = [{name: table.fingerprint for name, table in one.tables.items()} for one in (there, again)]
    assert prints[0] == prints[1]


def test_a_copy_that_was_stopped_goes_on_where_it_was(filled: AnyLedger, other: AnyLedger) -> None:
    class StoppedError(Exception):
        pass

    def stop(table: str, rows: int) -> None:
        del rows
        if table == "documents":
            raise StoppedError

    with pytest.raises(StoppedError):
        copy_ledger(rows_of(filled), rows_of(other), tell=stop)
    done = copy_ledger(rows_of(filled), rows_of(other))
    assert (done.tables["entities"].written, done.tables["documents"].written) == (0, 0)
    assert done.tables["embeddings"].written == 2


def test_what_the_source_got_since_comes_after(filled: AnyLedger, other: AnyLedger) -> None:
    copy_ledger(rows_of(filled), rows_of(other))
    start(filled, "run-2")
    done = copy_ledger(rows_of(filled), rows_of(other))
    assert done.tables["sync_runs"].written == 1


def test_a_row_that_differs_is_found(filled: AnyLedger, other: AnyLedger) -> None:
    copy_ledger(rows_of(filled), rows_of(other))
    with other.write("change") as tx:
        run_sql(tx, "UPDATE documents SET author = 'eve' WHERE document_id = 'doc#2'")
    with pytest.raises(LedgerError, match=r"The table documents .* differs"):
        copy_ledger(rows_of(filled), rows_of(other))


def test_a_ledger_of_other_runs_is_refused_and_stays_as_it_is(filled: AnyLedger, other: AnyLedger) -> None:
    start(other, "stranger")
    with pytest.raises(BackupRefusedError, match=r"holds runs .* such as stranger"):
        copy_ledger(rows_of(filled), rows_of(other))
    with other.read() as tx:
        assert read_sql(tx, "SELECT run_id FROM sync_runs") == [("stranger",)]


def test_a_ledger_is_not_copied_to_itself(filled: AnyLedger) -> None:
    with pytest.raises(BackupRefusedError, match="is the ledger itself"):
        copy_ledger(rows_of(filled), rows_of(filled))


def test_what_was_never_written_cannot_be_copied(new_ledger: AnyLedger, other: AnyLedger) -> None:
    with pytest.raises(LedgerMissingError):
        copy_ledger(rows_of(new_ledger), rows_of(other))
    assert not other.exists


def test_nothing_is_left_beside_a_file(filled: AnyLedger, other: AnyLedger, tmp_path: Path) -> None:
    copy_ledger(rows_of(filled), rows_of(other))
    assert list(tmp_path.glob("copying-*")) == []
