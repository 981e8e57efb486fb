import math
from typing import Any

import numpy as np
import pytest

from surgical_pipeline.domain.records import DocumentRecord, DocumentVersion
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.embeddings import (
    DocumentVectors,
    fitting,
    load_candidates,
    vectors_of_same_texts,
    write_vectors,
)
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline_tests.integration.ledger.examples import (
    MODEL,
    NOON,
    PROJECT,
    document,
    entity,
    issue,
    merge_request,
    read_sql,
)

KEY = issue(1)


def write(tx: Transaction, *documents: DocumentRecord) -> None:
    """Exactly these documents become those of their entities."""
    keys = {one.key for one in documents}
    batch = []
    for source in load_sources(tx, 7, keys):
        mine = tuple(one for one in documents if one.key == source.key)
        batch.append(EntityDocuments(source.key, source.version, mine))
    assert not write_documents(tx, "run-1", 7, batch)


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Documents a and b of an issue, c of a merge request."""
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-1", PROJECT, NOON)
        upsert_entities(tx, "run-1", [entity(KEY), entity(merge_request(1))])
        write(tx, document("a", KEY), document("b", KEY), document("c", merge_request(1)))
    return ledger


def vectors(
    document_id: str, *chunks: tuple[float, ...], text: str = "text", model: str = MODEL
) -> DocumentVectors:
    return DocumentVectors(document_id, f"hash of {text}", model, len(chunks[0]) if chunks else 2, chunks)


def versions(*pairs: tuple[str, str]) -> list[DocumentVersion]:
    return [DocumentVersion(document_id, f"hash of {text}") for document_id, text in pairs]


def chunks(tx: Transaction) -> list[tuple[object, ...]]:
    return read_sql(tx, "SELECT document_id, chunk_index, model, content_hash FROM embeddings ORDER BY ALL")


def test_candidates_leave_out_what_is_superseded_deleted_or_unknown(filled: Ledger) -> None:
    with filled.write("embed") as tx:
        write_vectors(tx, "run-1", [vectors("a", (1.0, 0.0))])
        wanted = versions(("a", "text"), ("b", "older text"), ("c", "text"), ("nobody", "text"))
        found = load_candidates(tx, wanted, MODEL)
        assert [(one.document_id, one.current) for one in found] == [("a", True), ("c", False)]
        assert (found[0].title, found[0].content, found[0].content_hash) == ("Title of a", "text", "hash of text")
        assert [one.current for one in load_candidates(tx, wanted, "another-model")] == [False, False]
        write(tx, document("b", KEY))
        assert [one.document_id for one in load_candidates(tx, wanted, MODEL)] == ["c"]
        assert load_candidates(tx, [], MODEL) == []


def test_documents_fit_by_the_characters_they_have(filled: Ledger) -> None:
    with filled.write("embed") as tx:
        write(tx, document("a", KEY, content="four"), document("b", KEY, content="sixsix"))
        wanted = versions(("a", "four"), ("nobody", "text"), ("b", "sixsix"), ("c", "text"))
        fitted = [len(fitting(tx, wanted, max_characters=most)) for most in (0, 3, 4, 9, 10, 13, 14)]
        assert fitted == [1, 1, 2, 2, 3, 3, 4]
        assert fitting(tx, [], max_characters=9) == []


def test_vectors_of_the_same_text_are_found_whatever_document_has_them(filled: Ledger) -> None:
    with filled.write("embed") as tx:
        others = [vectors("a", (0.5, 0.5), model="other"), vectors("b", (0.5, 0.5), model="other")]
        write_vectors(tx, "run-1", [vectors("b", (1.0, 0.0), (0.0, 1.0)), *others])
        wanted = load_candidates(tx, versions(("a", "text"), ("c", "text")), MODEL)
        found = vectors_of_same_texts(tx, wanted, MODEL)
        assert [(one.document_id, one.content_hash, one.dimension) for one in found] == [
            ("a", "hash of text", 2),
            ("c", "hash of text", 2),
        ]
        assert [list(map(list, one.vectors)) for one in found] == [[[1, 0], [0, 1]]] * 2
        assert vectors_of_same_texts(tx, wanted, "a third model") == []
        assert vectors_of_same_texts(tx, [], MODEL) == []


def test_vectors_of_a_changed_text_are_not_current(filled: Ledger) -> None:
    with filled.write("embed") as tx:
        write_vectors(tx, "run-1", [vectors("a", (1.0, 0.0))])
        write(tx, document("a", KEY, content="new"), document("b", KEY))
        assert not load_candidates(tx, versions(("a", "new")), MODEL)[0].current


def test_vectors_are_written_only_for_live_documents_of_that_text(filled: Ledger) -> None:
    with filled.write("embed") as tx:
        write(tx, document("a", KEY))
        batch = [vectors("a", (1.0, 0.0)), vectors("b", (1.0, 0.0)), vectors("c", (1.0, 0.0), text="old")]
        assert write_vectors(tx, "run-1", [*batch, vectors("nobody", (1.0, 0.0))]) == {"a"}
        assert chunks(tx) == [("a", 0, MODEL, "hash of text")]
        assert write_vectors(tx, "run-1", []) == frozenset()


def test_all_chunks_of_a_document_and_model_are_replaced(filled: Ledger) -> None:
    with filled.write("embed") as tx:
        write_vectors(tx, "run-1", [vectors("a", (1, 0), (0, 1), (1, 1)), vectors("a", (1, 0), model="other")])
    with filled.write("embed") as tx:
        twice = [vectors("a", (1, 0), (1, 0), (1, 0)), vectors("a", (0, 1), (0, 1))]
        assert write_vectors(tx, "run-2", twice) == {"a"}
        assert [row[1:3] for row in chunks(tx)] == [(0, "other"), (0, MODEL), (1, MODEL)]


def test_vectors_come_back_bit_for_bit(filled: Ledger) -> None:
    """So many numbers that DuckDB's threads share them, and some of another length among them."""
    random = np.random.default_rng(1)
    many, few, others = (
        random.normal(size=shape).astype(np.float32) for shape in ((1_500, 256), (2, 256), (3, 5))
    )
    few[0, :4] = (np.float32(1e-38), np.float32(-3e38), np.float32(1 / 3), 0)
    batch = [
        DocumentVectors("a", "hash of text", MODEL, 256, many),
        DocumentVectors("b", "hash of text", "other", 5, others),
        DocumentVectors("c", "hash of text", MODEL, 256, few),
    ]
    with filled.write("embed") as tx:
        assert write_vectors(tx, "run-1", batch) == {"a", "b", "c"}
        rows = read_sql(tx, "SELECT vector, dimension FROM embeddings ORDER BY document_id, chunk_index")
    for sent, (start, end) in ((many, (0, 1_500)), (others, (1_500, 1_503)), (few, (1_503, 1_505))):
        assert np.array_equal(np.array([vector for vector, _ in rows[start:end]], dtype=np.float32), sent)
    assert [dimension for _, dimension in rows] == [256] * 1_500 + [5] * 3 + [256] * 2


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [((), "shape"), (((1.0, 0.0, 0.0),), "shape"), (((math.nan, 0.0),), "not finite"), ((1.0, 0.0), "shape")],
)
def test_vectors_that_cannot_be_are_refused(bad: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DocumentVectors("a", "hash of text", MODEL, 2, bad)
