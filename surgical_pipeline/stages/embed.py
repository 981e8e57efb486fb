"""Embed: compute the vectors of exactly the documents that docs regenerated.

Takes document ids with the hash of the text they had, and never looks for "whatever has no vector yet": documents
that another run creates meanwhile are that run's. Embeds with the lock released; the write is guarded by the hash,
so a vector is never stored with another text.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial

from surgical_pipeline.documents.text import entity_of_document
from surgical_pipeline.domain.budgets import Budgets, Deadline, MonotonicClock
from surgical_pipeline.domain.failures import Failure
from surgical_pipeline.domain.handover import EmbedResult
from surgical_pipeline.domain.progress import UNWATCHED, Tally
from surgical_pipeline.domain.records import DocumentVersion
from surgical_pipeline.embedders.protocol import Embedder
from surgical_pipeline.ledger import embeddings as store
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.stages.shared.vectorizing import Batch, Vectorizer, look

STAGE = "embed"


async def run_embed_for_document_ids(
    documents: Sequence[DocumentVersion],
    *,
    embedder: Embedder,
    run: SyncRunRecorder,
    budgets: Budgets,
    tally: Tally = UNWATCHED,
    clock: MonotonicClock = time.monotonic,
    conclude: bool = False,
) -> EmbedResult:
    """Embed these documents and no others; a dead embedder or a spent budget gives a warning for each document.

    ``conclude``: the last window, if there is one, also concludes the run, if it succeeded: one window less.
    """
    deadline = Deadline.after(budgets.embed_budget_seconds, clock)
    tally.begin(STAGE, len(documents), unit="documents")
    vectorizer = Vectorizer(embedder, STAGE, deadline=deadline, clock=clock)
    results: list[EmbedResult] = []
    at = 0
    while at < len(documents):
        found = await run.in_read(STAGE, partial(look, versions=documents[at:], model=embedder.name))
        at += len(found.asked)
        async for batch in vectorizer.batches(found):
            final = conclude and batch.last and at >= len(documents)
            results.append(await run.in_window(STAGE, partial(_write, run=run, batch=batch, conclude=final)))
            tally.count(len(batch.asked), failed=len(batch.failures))
    return EmbedResult(
        embedded=tuple(one for result in results for one in result.embedded),
        reused=tuple(one for result in results for one in result.reused),
        superseded=tuple(one for result in results for one in result.superseded),
        failed=tuple(one for result in results for one in result.failed),
    )


def _write(tx: Transaction, *, run: SyncRunRecorder, batch: Batch, conclude: bool) -> EmbedResult:
    written = store.write_vectors(tx, run.run_id, batch=[*batch.copied, *batch.computed])
    still_current = (one.document_id for one in store.unchanged_documents(tx, batch.current))
    reused = {*still_current, *(one.document_id for one in batch.copied if one.document_id in written)}
    embedded = {one.document_id for one in batch.computed if one.document_id in written}
    settled = {*embedded, *reused, *batch.failures}
    result = EmbedResult(
        embedded=tuple(sorted(embedded)),
        reused=tuple(sorted(reused)),
        superseded=tuple(one for one in batch.asked if one not in settled),
        failed=tuple(sorted(batch.failures)),
    )
    _save_outcomes(tx, run=run, result=result, failures=batch.failures)
    run.add_counters(
        tx,
        documents_embedded=len(result.embedded),
        documents_reused=len(result.reused),
        documents_superseded=len(result.superseded),
        documents_embed_failed=len(result.failed),
    )
    if conclude:
        run.conclude(tx)
    return result


def _save_outcomes(
    tx: Transaction, *, run: SyncRunRecorder, result: EmbedResult, failures: Mapping[str, Failure]
) -> None:
    """Record for each entity which of its documents now have their vector, and which failed."""
    good = {*result.embedded, *result.reused}
    changed = []
    for outcome in run.outcomes(tx, keys={entity_of_document(one) for one in (*good, *failures)}):
        done = tuple(one for one in outcome.regenerated_document_ids if one in good)
        bad = tuple(one for one in outcome.regenerated_document_ids if one in failures)
        if not done and not bad:
            continue
        new = tuple(failures[one].model_copy(update={"dependent": one}) for one in bad)
        changed.append(
            outcome.model_copy(
                update={
                    "embedded_document_ids": outcome.embedded_document_ids + done,
                    "dependent_failures": outcome.dependent_failures + new,
                }
            )
        )
    run.save_outcomes(tx, changed)
