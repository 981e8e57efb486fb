"""Searching the documents: rankings by exact strings, words and meaning, and what is shown of the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.ledger.columns import columns
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.search.question import EXACT, MEANING, WORDS, Fused, Question, fuse

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = Sequence[float] | NDArray[np.float32]

REFERENCE = "reference"
"""``found_by`` of a document whose entity the question names."""

DEPTH = 50
"""Documents of each ranking that are fused; more if the caller asks for more."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Applied before anything is ranked. None and empty let all documents pass.

    ``state``: of the entity (``opened``, ``closed``, …), or of a discussion (``resolved``, ``unresolved``).
    ``labels``: of the entity, all of them. ``since``: documents updated then or later.
    """

    project_path: str | None = None
    kind: str | None = None
    state: str | None = None
    labels: tuple[str, ...] = ()
    since: datetime | None = None
    include_confidential: bool = False

    @property
    def params(self) -> dict[str, Any]:
        return {
            "project_path": self.project_path,
            "kind": self.kind,
            "state": self.state,
            "labels": list(self.labels) or None,
            "since": self.since,
            "include_confidential": self.include_confidential,
        }


@dataclass(frozen=True, slots=True)
class QuestionVector:
    """A question as the embedder of that name sees it."""

    model: str
    values: "Vector"


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A document found.

    ``score``: 1 for what the question names and for what is first in every ranking, else between 0 and 1.
    ``found_by``: its rank from 1 on in each ranking that has it: ``reference``, ``exact``, ``words``, ``meaning``.
    ``cosine``: of its best chunk, -1 to 1; None if it was not found by meaning. ``chunk_index``: that chunk, if
    it was made from the document's present text. ``current``: False if its vectors are those of an older text.
    """

    document_id: str
    kind: str
    project_path: str
    project_id: int
    entity_type: EntityType
    iid: int
    discussion_id: str | None
    title: str
    content: str
    web_url: str | None
    state: str
    labels: tuple[str, ...]
    author: str | None
    confidential: bool
    internal: bool
    updated_at: datetime | None
    score: float
    found_by: Mapping[str, int]
    cosine: float | None
    chunk_index: int | None
    current: bool

    @property
    def entity(self) -> str:
        """The entity as people write it: ``group/project#12``."""
        return f"{self.project_path}{self.entity_type.sigil}{self.iid}"


@dataclass(frozen=True, slots=True)
class _Nearest:
    cosine: float
    chunk_index: int
    current: bool


def search(
    tx: Transaction, question: Question, *, vector: QuestionVector | None, filters: Filters, limit: int
) -> list[SearchHit]:
    """The best documents for a question, best first, at most ``limit``.

    What the question names by reference comes first. Then three rankings are fused: the documents that hold its
    identifiers and quotations as they are written, those with its words (BM25), and those near in meaning (cosine
    with every vector of the model and dimension). Deleted documents are never found.

    Args:
        tx: may be read-only.
        question: what to search for.
        vector: of the question; None ranks by words only.
        filters: what to leave out.
        limit: at least 1.
    """
    depth = max(DEPTH, limit)
    words = rank_by_words(tx, question, filters=filters, depth=depth)
    nearest = {} if vector is None else _nearest(tx, vector, filters=filters, depth=depth)
    named = _referenced(tx, question, filters=filters, depth=depth)
    exact = _holding_exactly(tx, question, words[:DEPTH])
    # A question without exact strings, words or a vector to compare skips that ranking.
    asked = {EXACT: exact, MEANING: list(nearest)}
    rankings = {name: ids for name, ids in asked.items() if ids} | ({WORDS: words} if question.terms else {})
    fused = {one.document_id: one for one in fuse(rankings)}
    ids = list(dict.fromkeys([*named, *fused]))[:limit]
    rows = {row["document_id"]: row for row in tx.rows("load_hits", document_ids=ids)} if ids else {}
    ranks = {document_id: rank for rank, document_id in enumerate(named, start=1)}
    return [_hit(rows[one], fused=fused.get(one), nearest=nearest.get(one), named=ranks.get(one)) for one in ids]


def rank_by_words(tx: Transaction, question: Question, *, filters: Filters, depth: int) -> list[str]:
    """The ids of the documents that hold the question's terms, best first."""
    if not question.terms:
        return []
    terms = [(term.text, term.weight, term.ending) for term in question.terms]
    return tx.column(
        "rank_by_words",
        pattern=question.sql_pattern,
        depth=depth,
        **columns(terms, "terms", "weights", "endings"),
        **filters.params,
    )


def count_searchable(tx: Transaction, model: str) -> tuple[int, int]:
    """How many live documents there are, and how many documents have vectors of the model."""
    ((documents, embedded),) = tx.execute("count_searchable", model=model)
    return documents, embedded


def list_projects(tx: Transaction) -> list[str]:
    """The paths of the projects that the ledger knows."""
    return tx.column("list_projects")


def _holding_exactly(tx: Transaction, question: Question, document_ids: Sequence[str]) -> list[str]:
    """Those of these documents, in their order, that hold as many of the question's exact strings as can be held.

    A string that none of them holds, such as the number in a message, is not asked for.
    """
    if not question.exact or not document_ids:
        return []
    matches = tx.execute("find_exact", document_ids=document_ids, pattern=question.exact_sql_pattern)
    held = {one: frozenset[str]().union(*map(question.exact_in, texts)) for one, texts in matches}
    known = frozenset[str]().union(*held.values())
    return [one for one in document_ids if known and held.get(one) == known]


def _nearest(tx: Transaction, vector: QuestionVector, *, filters: Filters, depth: int) -> dict[str, _Nearest]:
    """Documents by id, best first."""
    values = [float(value) for value in vector.values]
    rows = tx.execute(
        "rank_by_meaning",
        model=vector.model,
        vector=values,
        dimension=len(values),
        depth=depth,
        **filters.params,
    )
    return {one: _Nearest(score, chunk_index, current) for one, score, chunk_index, current in rows}


def _referenced(tx: Transaction, question: Question, *, filters: Filters, depth: int) -> Sequence[str]:
    if not question.references:
        return []
    rows = [
        (one.project_path or "", str(one.key.entity_type), one.key.iid, position)
        for position, one in enumerate(question.references)
    ]
    named = columns(rows, "project_paths", "entity_types", "iids", "positions")
    return tx.column("list_referenced_documents", depth=depth, **named, **filters.params)


def _hit(row: dict[str, Any], *, fused: Fused | None, nearest: _Nearest | None, named: int | None) -> SearchHit:
    found_by = ({} if named is None else {REFERENCE: named}) | dict(fused.ranks if fused else {})
    current = nearest is None or nearest.current
    values: dict[str, Any] = row | {
        "entity_type": EntityType(row["entity_type"]),
        "labels": tuple(row["labels"]),
        "score": 1.0 if named is not None or fused is None else fused.score,
        "found_by": found_by,
        "cosine": nearest.cosine if nearest else None,
        "chunk_index": nearest.chunk_index if nearest and current else None,
        "current": current,
    }
    return SearchHit(**values)
