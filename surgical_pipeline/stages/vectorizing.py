"""From documents to their vectors: what the scoped embed and the backlog do alike, with no window open."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.chunks import split_into_chunks
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.embedders.protocol import Embedder, EmbedderError
from surgical_pipeline.ledger.embeddings import DocumentVectors, EmbeddingCandidate

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors

BATCH_SIZE = 64
"""Documents that are embedded together and written in one window."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Vectorized:
    """Each document given has its vectors or its failure, by id.

    ``ended_by``: the dead embedder or spent budget that ended the batch early; None where each document was tried.
    """

    vectors: tuple[DocumentVectors, ...]
    failures: Mapping[str, Failure]
    ended_by: Failure | None


@dataclass(slots=True)
class _Progress:
    """What is there so far by content hash, which an exception must not lose."""

    vectors: dict[str, "Vectors"] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)


async def vectorize(
    documents: Sequence[EmbeddingCandidate], *, embedder: Embedder, stage: str, deadline: Deadline | None = None
) -> Vectorized:
    """Chunk and embed ``documents`` in one call, or fewer at a time where the model refuses some of them.

    Documents of one text (``content_hash``) are embedded once. A text that the model refuses fails its own
    document alone. A dead embedder or a spent ``deadline`` fails all that is left.
    """
    progress = _Progress()
    ended_by: Failure | None = None
    once = {one.content_hash: one for one in documents}
    try:
        async with asyncio.timeout(deadline.remaining if deadline else None):
            await _embed_or_halve(tuple(once.values()), embedder=embedder, stage=stage, progress=progress)
    except EmbedderError as error:
        log.warning("embedding failed: %s", error)
        ended_by = Failure(code=FailureCode.EMBEDDER_ERROR, message=str(error), stage=stage)
    except TimeoutError:
        message = f"the budget of stage {stage} ran out"
        ended_by = Failure(code=FailureCode.TIMEOUT, message=message, stage=stage)
    failures = {
        one.document_id: failure
        for one in documents
        if (failure := progress.failures.get(one.content_hash, ended_by))
        and one.content_hash not in progress.vectors
    }
    vectors = tuple(
        DocumentVectors(
            document_id=one.document_id,
            content_hash=one.content_hash,
            model=embedder.name,
            dimension=embedder.dimension,
            vectors=progress.vectors[one.content_hash],
        )
        for one in documents
        if one.content_hash in progress.vectors
    )
    return Vectorized(vectors, failures, ended_by)


async def _embed_or_halve(
    documents: Sequence[EmbeddingCandidate], *, embedder: Embedder, stage: str, progress: _Progress
) -> None:
    """All at once; where the model refuses a text, each half by itself, down to the document that holds it."""
    if not documents:
        return
    await asyncio.sleep(0)  # a spent budget ends here: a thread, once started, cannot be stopped
    try:
        vectors = await asyncio.to_thread(_embed, documents, embedder)
    except EmbedderError as error:
        if not error.rejected:
            raise
        if len(documents) == 1:
            log.warning("document %s was refused: %s", documents[0].document_id, error)
            failure = Failure(code=FailureCode.EMBEDDER_ERROR, message=str(error), stage=stage)
            progress.failures[documents[0].content_hash] = failure
            return
        middle = len(documents) // 2
        for half in (documents[:middle], documents[middle:]):
            await _embed_or_halve(half, embedder=embedder, stage=stage, progress=progress)
    else:
        progress.vectors |= zip((one.content_hash for one in documents), vectors, strict=True)


def _embed(documents: Sequence[EmbeddingCandidate], embedder: Embedder) -> list["Vectors"]:
    """The vectors of each, all chunks in one call: an embedder is fastest on many texts at once."""
    chunks = [_chunks(one, embedder) for one in documents]
    vectors = embedder.embed([text for texts in chunks for text in texts])
    ends = list(accumulate(map(len, chunks)))
    return [vectors[end - len(texts) : end] for texts, end in zip(chunks, ends, strict=True)]


def _chunks(document: EmbeddingCandidate, embedder: Embedder) -> Sequence[str]:
    """At least one: a document without a word has the vector of an empty text."""
    chunks = split_into_chunks(
        document.title, document.content, count_tokens=embedder.count_tokens, max_tokens=embedder.max_tokens
    )
    return chunks or ("",)
