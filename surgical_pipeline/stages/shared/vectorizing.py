"""From documents to their vectors: what the scoped embed and the backlog do alike, with no window open."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
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
"""Documents that an embedder is given at once."""
WINDOW_SIZE = 512
WINDOW_CHARACTERS = 4_000_000
"""Documents that are read together, and written together; fewer where they are long. A window takes 5 to 30 ms
whatever is in it, and the vectors of so many documents take some 100 ms more."""
WRITE_AFTER_SECONDS = 5.0
"""What is computed waits no longer to be written: a kill loses no more than this and one call."""
DEAD_AFTER_CALLS = 2
"""A call has its own retries, and its own timeout, which a hundred dead ones would add up to an hour."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """What a read window shows of the documents ``asked`` for.

    ``current``: the model's vectors of this very text are there; ``copied``: those of another document with this
    text are; ``stale``: they must be computed. The others are superseded.
    """

    asked: tuple[DocumentVersion, ...]
    current: tuple[DocumentVersion, ...]
    copied: tuple[DocumentVectors, ...]
    stale: tuple[EmbeddingCandidate, ...]


@dataclass(frozen=True, slots=True)
class Vectorized:
    """Each document tried has its vectors or its failure, by id.

    ``ended_by``: the dead embedder or spent budget that failed all that was left of a call.
    """

    vectors: tuple[DocumentVectors, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    ended_by: Failure | None = None

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


@dataclass(slots=True)
class _Progress:
    """What is there so far by content hash, which an exception must not lose."""

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

    After ``DEAD_AFTER_CALLS`` calls in a row that failed it, nothing more is asked of it: what is left fails at
    once, for the reason that the last call had. ``deadline``: of the stage; what it leaves undone fails, too.
    """

    embedder: Embedder
    stage: str
    deadline: Deadline | None = field(default=None, kw_only=True)
    clock: MonotonicClock = field(default=time.monotonic, kw_only=True)
    _failed_in_a_row: int = field(default=0, init=False)
    _given_up: Failure | None = field(default=None, init=False)

    async def batches(self, found: Found) -> AsyncIterator[Batch]:
        """What there is to write of ``found``, each document once, as ``vectorize`` gives it.

        What needs no computing comes with the first.
        """
        stale = {one.document_id for one in found.stale}
        others = tuple(one.document_id for one in found.asked if one.document_id not in stale)
        current, copied = found.current, found.copied
        async for some in self.vectorize(found.stale):
            asked = (*others, *(one.document_id for one in some.vectors), *some.failures)
            yield Batch(asked, current, copied, some.vectors, some.failures, some.ended_by)
            others, current, copied = (), (), ()

    async def vectorize(self, documents: Sequence[EmbeddingCandidate]) -> AsyncIterator[Vectorized]:
        """Chunk and embed ``documents``, ``CALL_SIZE`` of them a call or fewer where the model refuses some.

        Gives what there is at the end, after ``WRITE_AFTER_SECONDS`` and whenever the embedder died; once at
        least. Documents of one text (``content_hash``) are embedded once. A text that the model refuses fails its
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
        yield gathered

    async def _one_call(self, texts: Sequence[Sequence[EmbeddingCandidate]]) -> Vectorized:
        """``texts``: of each the documents that have it."""
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
        """All at once; where the model refuses a text, each half by itself, down to the document that holds it."""
        if not documents:
            return
        await asyncio.sleep(0)  # a spent budget ends here: a thread, once started, cannot be stopped
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
