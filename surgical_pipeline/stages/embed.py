"""Embed: compute the vectors of exactly the documents that docs regenerated.

Takes document ids with the hash of the text they had, and never looks for "whatever has no vector yet": documents
that another run creates meanwhile are that run's. Embeds with the lock released; the write is guarded by the hash,
so a vector never stands beside another text.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from surgical_pipeline.domain.budgets import Budgets, Deadline, MonotonicClock
from surgical_pipeline.domain.chunks import split_into_chunks
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.handover import EmbedResult
from surgical_pipeline.domain.records import DocumentVersion
from surgical_pipeline.embedders.protocol import Embedder, EmbedderError
from surgical_pipeline.ledger import embeddings as store
from surgical_pipeline.ledger.embeddings import DocumentVectors, EmbeddingCandidate
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.transaction import Transaction

STAGE = "embed"
BATCH_SIZE = 64
"""Documents that are embedded together and written in one window."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What became of one batch before it is written."""

    asked: Sequence[DocumentVersion]
    reused: tuple[str, ...] = ()
    vectors: tuple[DocumentVectors, ...] = ()
    failed: tuple[str, ...] = ()
    failure: Failure | None = None


async def run_embed_for_document_ids(
    documents: Sequence[DocumentVersion],
    *,
    embedder: Embedder,
    run: SyncRunRecorder,
    budgets: Budgets,
    clock: MonotonicClock = time.monotonic,
) -> EmbedResult:
    """Embed these documents and no others; a dead embedder or a spent budget is a warning of each document."""
    deadline = Deadline.after(budgets.embed_budget_seconds, clock)
    results = []
    for start in range(0, len(documents), BATCH_SIZE):
        batch = await _compute(
            documents[start : start + BATCH_SIZE], embedder=embedder, run=run, deadline=deadline
        )
        results.append(await run.in_window(STAGE, partial(_write, run=run, batch=batch)))
    return EmbedResult(
        embedded=tuple(one for result in results for one in result.embedded),
        reused=tuple(one for result in results for one in result.reused),
        superseded=tuple(one for result in results for one in result.superseded),
        failed=tuple(one for result in results for one in result.failed),
    )


async def _compute(
    asked: Sequence[DocumentVersion], *, embedder: Embedder, run: SyncRunRecorder, deadline: Deadline
) -> _Batch:
    candidates = await run.in_read(STAGE, partial(store.load_candidates, versions=asked, model=embedder.name))
    reused = tuple(one.document_id for one in candidates if one.current)
    stale = [one for one in candidates if not one.current]
    ids = tuple(one.document_id for one in stale)
    try:
        async with asyncio.timeout(deadline.remaining):
            await asyncio.sleep(0)  # a spent budget ends here: a thread, once started, cannot be stopped
            vectors = await asyncio.to_thread(_embed, stale, embedder)
    except EmbedderError as error:
        log.warning("embedding failed: %s", error)
        failure = Failure(code=FailureCode.EMBEDDER_ERROR, message=str(error), stage=STAGE)
        return _Batch(asked, reused, failed=ids, failure=failure)
    except TimeoutError:
        message = f"the budget of stage {STAGE} ran out"
        failure = Failure(code=FailureCode.TIMEOUT, message=message, stage=STAGE)
        return _Batch(asked, reused, failed=ids, failure=failure)
    return _Batch(asked, reused, vectors)


def _embed(stale: Sequence[EmbeddingCandidate], embedder: Embedder) -> tuple[DocumentVectors, ...]:
    """All chunks of a batch in one call: an embedder is fastest on many texts at once."""
    chunks = [
        split_into_chunks(
            one.title, one.content, count_tokens=embedder.count_tokens, max_tokens=embedder.max_tokens
        )
        for one in stale
    ]
    if not chunks:
        return ()
    vectors = embedder.embed([text for texts in chunks for text in texts])
    result, start = [], 0
    for one, texts in zip(stale, chunks, strict=True):
        result.append(
            DocumentVectors(
                document_id=one.document_id,
                content_hash=one.content_hash,
                model=embedder.name,
                dimension=embedder.dimension,
                vectors=vectors[start : start + len(texts)],
            )
        )
        start += len(texts)
    return tuple(result)


def _write(tx: Transaction, *, run: SyncRunRecorder, batch: _Batch) -> EmbedResult:
    embedded = store.write_vectors(tx, run.run_id, batch=batch.vectors)
    settled = {*embedded, *batch.reused, *batch.failed}
    result = EmbedResult(
        embedded=tuple(sorted(embedded)),
        reused=batch.reused,
        superseded=tuple(one.document_id for one in batch.asked if one.document_id not in settled),
        failed=batch.failed,
    )
    _save_outcomes(tx, run=run, result=result, failure=batch.failure)
    run.add_counters(
        tx,
        documents_embedded=len(result.embedded),
        documents_reused=len(result.reused),
        documents_superseded=len(result.superseded),
        documents_embed_failed=len(result.failed),
    )
    return result


def _save_outcomes(tx: Transaction, *, run: SyncRunRecorder, result: EmbedResult, failure: Failure | None) -> None:
    """Give each entity the documents of its own that now have their vector, and those that failed."""
    good, failed = {*result.embedded, *result.reused}, set(result.failed)
    changed = []
    for outcome in run.outcomes(tx):
        done = tuple(one for one in outcome.regenerated_document_ids if one in good)
        bad = tuple(one for one in outcome.regenerated_document_ids if one in failed)
        if not done and not bad:
            continue
        failures = tuple(failure.model_copy(update={"dependent": one}) for one in bad) if failure else ()
        changed.append(
            outcome.model_copy(
                update={
                    "embedded_document_ids": outcome.embedded_document_ids + done,
                    "dependent_failures": outcome.dependent_failures + failures,
                }
            )
        )
    run.save_outcomes(tx, changed)
