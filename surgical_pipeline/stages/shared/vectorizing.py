"""From documents to their vectors: what the stage embed and the backlog share, with no window open."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from surgical_pipeline.documents.chunks import split_into_chunks
from surgical_pipeline.domain.budgets import Deadline, MonotonicClock
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.records import DocumentVersion
from surgical_pipeline.embedders.protocol import Embedder, EmbedderError
from surgical_pipeline.ledger import embeddings as store
from surgical_pipeline.ledger.embeddings import DocumentVectors, EmbeddingCandidate
from surgical_pipeline.ledger.protocol import Transaction

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors

CALL_SIZE = 64
"""Documents per call of the embedder."""
WINDOW_SIZE = 512
WINDOW_CHARACTERS = 4_000_000
"""Documents that are read and written together; fewer if they are long. A window takes 5 to 30 ms whatever its
size, and the vectors of so many documents take some 100 ms more."""
WRITE_AFTER_SECONDS = 5.0
"""Longest time that vectors wait to be written: a kill loses no more than this and one call."""
DEAD_AFTER_CALLS = 2
"""A call has its own retries and timeout: a hundred calls to a dead embedder would take an hour."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What a read window finds about the documents ``asked`` for.

    ``current``: the model's vectors of exactly this text exist; ``copied``: another document with this text has
    them; ``stale``: they must be computed. The others are superseded.
    """

    asked: tuple[DocumentVersion, ...]
    current: tuple[DocumentVersion, ...]
    copied: tuple[DocumentVectors, ...]
    stale: tuple[EmbeddingCandidate, ...]


@dataclass(frozen=True, slots=True)
class Vectorized:
    """The vectors or the failure of each document that was tried, by id.

    ``ended_by``: the dead embedder or spent budget that failed the rest of a call. ``last``: nothing follows.
    """

    vectors: tuple[DocumentVectors, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    ended_by: Failure | None = None
    last: bool = False

    def __add__(self, later: "Vectorized") -> "Vectorized":
        return Vectorized(
            self.vectors + later.vectors, {**self.failures, **later.failures}, later.ended_by or self.ended_by
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of the documents of these ids, before it is written; see ``Found`` and ``Vectorized``."""

    asked: tuple[str, ...]
    current: tuple[DocumentVersion, ...]
    copied: tuple[DocumentVectors, ...]
    computed: tuple[DocumentVectors, ...]
    failures: Mapping[str, Failure]
    ended_by: Failure | None
    last: bool


@dataclass(slots=True)
class _Progress:
    """The vectors so far by content hash, which an exception must not lose."""

    vectors: dict[str, "Vectors"] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)


def look(tx: Transaction, versions: Sequence[DocumentVersion], model: str) -> Found:
    """The first of these documents, as many as one window takes."""
    asked = store.fitting(tx, versions[:WINDOW_SIZE], max_characters=WINDOW_CHARACTERS)
    candidates = store.load_candidates(tx, asked, model)
    missing = [one for one in candidates if not one.current]
    copied = store.vectors_of_same_texts(tx, missing, model)
    known = {one.document_id for one in copied}
    return Found(
        asked=tuple(asked),
        current=tuple(DocumentVersion(one.document_id, one.content_hash) for one in candidates if one.current),
        copied=tuple(copied),
        stale=tuple(one for one in missing if one.document_id not in known),
    )


@dataclass(slots=True)
class Vectorizer:
    """Makes vectors with one embedder for one stage of a run, and remembers whether the embedder still answers.

    After ``DEAD_AFTER_CALLS`` failed calls in a row, it is not called again: the remaining documents fail at
    once, with the last call's reason. ``deadline``: of the stage; documents left undone by then fail, too.
    """

    embedder: Embedder
    stage: str
    deadline: Deadline | None = field(default=None, kw_only=True)
    clock: MonotonicClock = field(default=time.monotonic, kw_only=True)
    _failed_in_a_row: int = field(default=0, init=False)
    _given_up: Failure | None = field(default=None, init=False)

    async def batches(self, found: Found) -> AsyncIterator[Batch]:
        """What to write for ``found``, each document once, as ``vectorize`` yields it.

        What needs no computing comes with the first group.
        """
        stale = {one.document_id for one in found.stale}
        others = tuple(one.document_id for one in found.asked if one.document_id not in stale)
        current, copied = found.current, found.copied
        async for some in self.vectorize(found.stale):
            asked = (*others, *(one.document_id for one in some.vectors), *some.failures)
            yield Batch(asked, current, copied, some.vectors, some.failures, some.ended_by, some.last)
            others, current, copied = (), (), ()

    async def vectorize(self, documents: Sequence[EmbeddingCandidate]) -> AsyncIterator[Vectorized]:
        """Chunk and embed ``documents``, ``CALL_SIZE`` per call or fewer if the model refuses some.

        Yields results at the end, after ``WRITE_AFTER_SECONDS`` and when the embedder died; at least once.
        Documents with the same text (``content_hash``) are embedded once. A text that the model refuses fails its
        own document alone. A dead embedder fails the documents of its call, a spent deadline all that are left.
        """
        same = defaultdict[str, list[EmbeddingCandidate]](list)
        for one in documents:
            same[one.content_hash].append(one)
        texts = list(same.values())
        gathered, began = Vectorized(), self.clock()
        for start in range(0, len(texts), CALL_SIZE):
            if self._given_up:
                gathered += _all_failed(texts[start:], self._given_up)
                break
            gathered += await self._one_call(texts[start : start + CALL_SIZE])
            last = start + CALL_SIZE >= len(texts)
            died = gathered.ended_by is not None and gathered.ended_by.code is FailureCode.EMBEDDER_ERROR
            if not last and (died or self.clock() - began >= WRITE_AFTER_SECONDS):
                yield gathered
                gathered, began = Vectorized(), self.clock()
        yield replace(gathered, last=True)

    async def _one_call(self, texts: Sequence[Sequence[EmbeddingCandidate]]) -> Vectorized:
        """``texts``: for each text the documents that have it."""
        progress = _Progress()
        ended_by: Failure | None = None
        try:
            async with asyncio.timeout(self.deadline.remaining if self.deadline else None):
                await self._embed_or_halve([same[0] for same in texts], progress)
            self._failed_in_a_row = 0
        except EmbedderError as error:
            log.warning("embedding failed: %s", error)
            ended_by = Failure(code=FailureCode.EMBEDDER_ERROR, message=str(error), stage=self.stage)
            self._count_failure(ended_by)
        except TimeoutError:
            message = f"the budget of stage {self.stage} ran out"
            ended_by = Failure(code=FailureCode.TIMEOUT, message=message, stage=self.stage)
        documents = [one for same in texts for one in same]
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
                model=self.embedder.name,
                dimension=self.embedder.dimension,
                vectors=progress.vectors[one.content_hash],
            )
            for one in documents
            if one.content_hash in progress.vectors
        )
        return Vectorized(vectors, failures, ended_by)

    def _count_failure(self, failure: Failure) -> None:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= DEAD_AFTER_CALLS:
            message = f"not tried, as {self._failed_in_a_row} calls in a row failed: {failure.message}"
            self._given_up = failure.model_copy(update={"message": message})

    async def _embed_or_halve(self, documents: Sequence[EmbeddingCandidate], progress: _Progress) -> None:
        """All at once; if the model refuses a text, each half by itself, down to the document that holds it."""
        if not documents:
            return
        await asyncio.sleep(0)  # A spent budget ends the stage here: a started thread cannot be stopped.
        try:
            vectors = await asyncio.to_thread(_embed, documents, self.embedder)
        except EmbedderError as error:
            if not error.rejected:
                raise
            if len(documents) == 1:
                log.warning("document %s was refused: %s", documents[0].document_id, error)
                failure = Failure(code=FailureCode.EMBEDDER_ERROR, message=str(error), stage=self.stage)
                progress.failures[documents[0].content_hash] = failure
                return
            middle = len(documents) // 2
            for half in (documents[:middle], documents[middle:]):
                await self._embed_or_halve(half, progress)
        else:
            progress.vectors |= zip((one.content_hash for one in documents), vectors, strict=True)


def _all_failed(texts: Sequence[Sequence[EmbeddingCandidate]], failure: Failure) -> Vectorized:
    return Vectorized(failures={one.document_id: failure for same in texts for one in same}, ended_by=failure)


def _embed(documents: Sequence[EmbeddingCandidate], embedder: Embedder) -> list["Vectors"]:
    """The vectors of each, all chunks in one call: embedders are fastest on many texts at once."""
    chunks = [_chunks(one, embedder) for one in documents]
    vectors = embedder.embed([text for texts in chunks for text in texts])
    ends = list(accumulate(map(len, chunks)))
    return [vectors[end - len(texts) : end] for texts, end in zip(chunks, ends, strict=True)]


def _chunks(document: EmbeddingCandidate, embedder: Embedder) -> Sequence[str]:
    """At least one chunk: a document without words gets the vector of an empty text."""
    chunks = split_into_chunks(
        document.title, document.content, count_tokens=embedder.count_tokens, max_tokens=embedder.max_tokens
    )
    return chunks or ("",)
