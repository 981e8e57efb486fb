"""Three entities whose documents and vectors a test says as it needs them."""

from collections.abc import Sequence
from dataclasses import replace

from surgical_pipeline.documents.text import DISCUSSION_KIND
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.embeddings import DocumentVectors, write_vectors
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline_tests.integration.ledger.examples import (
    MODEL,
    NOON,
    PROJECT,
    document,
    entity,
    issue,
    merge_request,
)


def fill(ledger: Ledger) -> Ledger:
    """The issues 1 and 2 and the merge request 1, without documents."""
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-1", PROJECT, NOON)
        upsert_entities(tx, "run-1", [entity(key) for key in (issue(1), issue(2), merge_request(1))])
    return ledger


def save(tx: Transaction, *documents: DocumentRecord) -> None:
    """Exactly these documents become those of their entities."""
    batch = []
    for source in load_sources(tx, 7, {one.key for one in documents}):
        mine = tuple(one for one in documents if one.key == source.key)
        batch.append(EntityDocuments(source.key, source.version, mine))
    assert not write_documents(tx, "run-1", 7, batch)


def embed(tx: Transaction, document_id: str, *chunks: Sequence[float], text: str, model: str = MODEL) -> None:
    entry = DocumentVectors(document_id, f"hash of {text}", model, len(chunks[0]), chunks)
    assert write_vectors(tx, "run-1", [entry]) == {document_id}


def said(document_id: str, key: EntityKey, content: str, **values: object) -> DocumentRecord:
    """A discussion of that entity."""
    one = document(document_id, key, content=content)
    usual = {"kind": DISCUSSION_KIND, "discussion_id": document_id, "labels": (), "state": "unresolved"}
    return replace(one, **{**usual, **values})  # type: ignore[arg-type]
