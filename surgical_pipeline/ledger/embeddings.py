"""Vectors of documents: which are wanted, and writing them."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from surgical_pipeline.domain.records import DocumentVersion
from surgical_pipeline.ledger.columns import columns
from surgical_pipeline.ledger.protocol import Transaction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = Sequence[Sequence[float]] | NDArray[np.float32]

_MATRIX = 2


@dataclass(frozen=True, slots=True)
class EmbeddingCandidate:
    """A document to embed. ``current``: the model's vectors of exactly this text already exist."""

    document_id: str
    title: str
    content: str
    content_hash: str
    current: bool


@dataclass(frozen=True, slots=True)
class DocumentVectors:
    """A document's vectors, one a chunk in order.

    ``vectors``: becomes an array of shape (chunks, dimension), float32.

    Raises:
        ValueError: vectors that are not of shape (chunks >= 1, dimension), or not finite.
    """

    document_id: str
    content_hash: str
    model: str
    dimension: int
    vectors: "Vectors"

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", _matrix_of(self))


def fitting(
    tx: Transaction, versions: Sequence[DocumentVersion], *, max_characters: int
) -> Sequence[DocumentVersion]:
    """The leading documents that together have at most so many characters; the first regardless of its length."""
    ids = [version.document_id for version in versions]
    characters = dict(tx.execute("load_document_lengths", document_ids=ids))
    totals = list(accumulate(characters.get(document_id, 0) for document_id in ids))
    return versions[: max(1, bisect_right(totals, max_characters))]


def load_candidates(tx: Transaction, versions: Sequence[DocumentVersion], model: str) -> list[EmbeddingCandidate]:
    """Those of these documents that are live and still have that hash, by id; the others are superseded."""
    wanted = [(version.document_id, version.content_hash) for version in versions]
    rows = tx.rows("load_embedding_candidates", model=model, **columns(wanted, "document_id", "content_hash"))
    return [EmbeddingCandidate(**row) for row in rows]


def vectors_of_same_texts(
    tx: Transaction, wanted: Sequence[EmbeddingCandidate], model: str
) -> list[DocumentVectors]:
    """For each of ``wanted`` whose exact text another document has too: that document's vectors, as its own."""
    hashes = sorted({one.content_hash for one in wanted})
    if not hashes:
        return []
    found: dict[str, list[Sequence[float]]] = defaultdict(list)
    for content_hash, vector in tx.execute("load_vectors_of_texts", model=model, content_hashes=hashes):
        found[content_hash].append(vector)
    return [
        DocumentVectors(one.document_id, one.content_hash, model, len(vectors[0]), vectors)
        for one in wanted
        if (vectors := found.get(one.content_hash))
    ]


def unchanged_documents(tx: Transaction, versions: Sequence[DocumentVersion]) -> frozenset[DocumentVersion]:
    """Those of these documents that are live and still have that hash."""
    if not versions:
        return frozenset()
    wanted = [(version.document_id, version.content_hash) for version in versions]
    found = tx.execute("load_unchanged_documents", **columns(wanted, "document_id", "content_hash"))
    return frozenset(DocumentVersion(*row) for row in found)


def write_vectors(tx: Transaction, run_id: str, batch: Sequence[DocumentVectors]) -> frozenset[str]:
    """Replace all chunks of each (document, model), and return the ids of the documents written.

    A document that is deleted or has another text by now is left out. Of two entries for one document and model
    the later counts.
    """
    distinct = {(entry.document_id, entry.model): entry for entry in batch}
    unchanged = unchanged_documents(
        tx, [DocumentVersion(entry.document_id, entry.content_hash) for entry in distinct.values()]
    )
    entries = [
        entry for entry in distinct.values() if DocumentVersion(entry.document_id, entry.content_hash) in unchanged
    ]
    if entries:
        models = [(entry.document_id, entry.model) for entry in entries]
        tx.execute("delete_model_embeddings", **columns(models, "document_id", "model"))
    for dimension in sorted({entry.dimension for entry in entries}):
        _insert(tx, run_id, [entry for entry in entries if entry.dimension == dimension])
    return frozenset(entry.document_id for entry in entries)


def _insert(tx: Transaction, run_id: str, entries: Sequence[DocumentVectors]) -> None:
    """Those of one dimension."""
    import numpy as np  # noqa: PLC0415  numpy takes 0.1 s to import, and most commands need none

    rows = [
        (entry.document_id, index, entry.model, entry.content_hash)
        for entry in entries
        for index in range(len(entry.vectors))
    ]
    tx.insert_vectors(
        "insert_embeddings",
        np.concatenate([entry.vectors for entry in entries]),
        dimension=entries[0].dimension,
        run_id=run_id,
        embedded_at=tx.now,
        **columns(rows, "document_id", "chunk_index", "model", "content_hash"),
    )


def _matrix_of(entry: DocumentVectors) -> "NDArray[np.float32]":
    import numpy as np  # noqa: PLC0415

    vectors = np.asarray(entry.vectors, dtype=np.float32)
    if vectors.ndim != _MATRIX or not len(vectors) or vectors.shape[1] != entry.dimension:
        raise ValueError(
            f"the vectors of document {entry.document_id} have the shape {vectors.shape}, "
            f"not (chunks, {entry.dimension})"
        )
    if not np.isfinite(vectors).all():
        raise ValueError(f"the vectors of document {entry.document_id} are not finite")
    return vectors
