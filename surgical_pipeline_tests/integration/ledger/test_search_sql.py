"""The view and the macros, as people use them who live in DuckDB."""

from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.integration.ledger.examples import document, issue, merge_request, read_sql
from surgical_pipeline_tests.integration.ledger.search_examples import embed, fill, said, save


@pytest.fixture
def backend() -> str:
    """What people find in the file."""
    return "duckdb"


@pytest.fixture
def filled(ledger: DuckDBLedger) -> DuckDBLedger:
    fill(ledger)
    return ledger


@pytest.fixture
def for_sql(filled: DuckDBLedger) -> Path:
    with filled.write("x") as tx:
        save(
            tx,
            document("a", issue(1), content="the valve opens late"),
            said("secret", issue(1), "the valve of the competitor", internal=True),
            document("c", issue(2), content="nothing of interest about a valve that is not even a valves"),
            document("d", merge_request(1), content="gateway"),
        )
        embed(tx, "a", (0, 1), text="the valve opens late")
        embed(tx, "d", (1, 0), (0.5, 0.5), text="gateway")
        save(tx, document("d", merge_request(1), content="gateway"))
    return filled.path


def macro(path: Path, call: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(f"SELECT entity, document_id FROM {call}").fetchall()


@pytest.mark.parametrize("how", ["as it is", "copied", "exported"])
def test_the_view_and_the_macro_answer_in_a_plain_shell(for_sql: Path, tmp_path: Path, how: str) -> None:
    """Compaction and backup copy them along."""
    path = tmp_path / "other.duckdb"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{for_sql}' AS ledger (READ_ONLY)")
        connection.execute(f"ATTACH '{path}' AS other")
        connection.execute("COPY FROM DATABASE ledger TO other")
    if how == "exported":
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"EXPORT DATABASE '{tmp_path}/export' (FORMAT parquet)")
        path.unlink()
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"IMPORT DATABASE '{tmp_path}/export'")
    path = for_sql if how == "as it is" else path
    assert macro(path, "search_documents('valve, late')") == [("acme/rocket#1", "a"), ("acme/rocket#2", "c")]
    by_both = macro(path, "search_documents('valve late', question_vector := [1, 0])")
    assert by_both == [("acme/rocket#1", "a"), ("acme/rocket!1", "d"), ("acme/rocket#2", "c")]
    assert macro(path, "search_documents('', question_vector := [1.0, 0.0])") == [
        ("acme/rocket!1", "d"),
        ("acme/rocket#1", "a"),
    ]
    assert macro(path, "search_documents((SELECT title FROM documents WHERE document_id = 'd'))")
    assert macro(path, "search_documents('(((')") == macro(path, "search_documents('')") == []
    assert macro(path, "matching_documents(only_kind := 'issue') AS d, (SELECT 'x' AS entity)")
    rows = macro(path, "searchable_documents ORDER BY document_id, chunk_index")
    assert rows == [
        ("acme/rocket#1", "a"),
        ("acme/rocket#2", "c"),
        ("acme/rocket!1", "d"),
        ("acme/rocket!1", "d"),
    ]


def test_the_view_shows_only_vectors_of_the_present_text(filled: DuckDBLedger) -> None:
    with filled.write("x") as tx:
        save(tx, document("a", issue(1)))
        embed(tx, "a", (1, 0), text="text")
        save(tx, document("a", issue(1), content="new"))
        rows = read_sql(tx, "SELECT content, vector FROM searchable_documents")
    assert rows == [("new", None)]
