"""The index of words: it says what the documents say, whoever wrote them and when."""

from dataclasses import replace

import pytest

from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.search import Filters, rank_by_words
from surgical_pipeline.ledger.search_index import index_documents
from surgical_pipeline.search.question import Question
from surgical_pipeline_tests.integration.ledger.examples import document, issue, read_sql
from surgical_pipeline_tests.integration.ledger.search_examples import fill, said, save

WORDS_OF_DOCUMENTS = """
SELECT document_id, length, list_sort(list(word) FILTER (WHERE word IS NOT NULL))
FROM (
    SELECT document_id, length, unnest(CASE WHEN word_ids = [] THEN [0] ELSE word_ids END) AS word_id
    FROM document_words)
LEFT JOIN vocabulary USING (word_id)
GROUP BY document_id, length
"""


@pytest.fixture
def backend() -> str:
    """This is DuckDB's index of words."""
    return "duckdb"


def indexed(tx: Transaction) -> dict[str, list[str]]:
    """The words of each document, as often as they count, by id."""
    rows = read_sql(tx, WORDS_OF_DOCUMENTS)
    assert all(length == len(words or []) for _, length, words in rows)
    return {document_id: words or [] for document_id, _, words in rows}


def vocabulary(tx: Transaction) -> list[str]:
    return sorted(row[0] for row in read_sql(tx, "SELECT word FROM vocabulary"))


def found(tx: Transaction, text: str) -> list[str]:
    return rank_by_words(tx, Question.of(text), filters=Filters(), depth=9)


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    return fill(ledger)


def test_a_search_knows_the_words_of_the_present_texts_and_no_others(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(tx, document("a", issue(1), content="first\twords\r\nof\nIT"), said("c", issue(1), ""))
    with filled.read() as tx:
        assert found(tx, "it words") == ["a"]
    with filled.write("x") as tx:
        save(tx, document("a", issue(1), content="other words, first of all"), said("c", issue(1), ""))
    with filled.read() as tx:
        assert found(tx, "words") == found(tx, "other") == ["a"]
        assert found(tx, "it") == []
        title = document("a", issue(1)).title.lower().split()
        assert indexed(tx) == {
            "a": sorted([*title, *title, "other", "words,", "first", "of", "all"]),
            "c": sorted(document("c", issue(1)).title.lower().split()),
        }
        assert len(vocabulary(tx)) == len(set(vocabulary(tx)))


def test_a_window_that_is_rolled_back_leaves_the_index_as_it_was(filled: Ledger) -> None:
    with filled.write("x") as tx:
        save(tx, document("a", issue(1), content="first"))
    with filled.read() as tx:
        before = indexed(tx), vocabulary(tx)
    with pytest.raises(RuntimeError), filled.write("x") as tx:
        save(tx, document("a", issue(1), content="second"))
        assert found(tx, "second") == ["a"]
        raise RuntimeError
    with filled.read() as tx:
        assert (indexed(tx), vocabulary(tx)) == before


def test_a_document_without_words_has_its_row_and_indexing_again_changes_nothing(filled: Ledger) -> None:
    late = document("a", issue(1), content="A valve\nof words: E_LATE_1")
    with filled.write("x") as tx:
        save(tx, replace(late, title="Late valves"), said("c", issue(1), " ", title=""))
        before = indexed(tx), vocabulary(tx)
        index_documents(tx, ["a", "c"])
        assert (indexed(tx), vocabulary(tx)) == before
    assert before == (
        {"a": ["a", "e_late_1", "late", "late", "of", "valve", "valves", "valves", "words:"], "c": []},
        ["a", "e_late_1", "late", "of", "valve", "valves", "words:"],
    )
