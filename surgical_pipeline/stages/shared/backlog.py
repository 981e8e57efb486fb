"""Backlog: embed every document that lacks a vector of its present text by the model.

The only embed that searches for missing vectors, so never part of a surgical run. It goes through the documents
by id, in batches: a kill loses the batch it was in, and the next call goes on with what is still missing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from surgical_pipeline.domain.failures import Failure
from surgical_pipeline.embedders.protocol import Embedder
from surgical_pipeline.ledger import backlog as store
from surgical_pipeline.ledger.embeddings import write_vectors
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.stages.shared.vectorizing import WINDOW_SIZE, Batch, Found, Vectorizer, look

STAGE = "embed_backlog"
PRUNE_SIZE = 1000
"""Number of documents whose vectors of other models are dropped per window."""


@dataclass(frozen=True, slots=True)
class FailedDocument:
    document_id: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class BacklogProgress:
    """Documents by outcome so far; at the end, of all.

    ``total``: how many lacked a vector when the job began. ``reused``: vectors of another document of the same
    text. ``superseded``: their text changed, or they were deleted, while they were being embedded. ``failed``: the
    model refused their text. ``pruned``: documents that lost vectors of other models. ``ended_by``: the dead
    embedder that ended the job early.
    """

    total: int
    embedded: int = 0
    reused: int = 0
    superseded: int = 0
    failed: tuple[FailedDocument, ...] = ()
    pruned: int = 0
    ended_by: Failure | None = None

    @property
    def done(self) -> int:
        return self.embedded + self.reused + self.superseded + len(self.failed)


Report = Callable[[BacklogProgress], None]


async def run_embed_backlog(
    ledger: Ledger,
    embedder: Embedder,
    *,
    run_id: str,
    project: str | None = None,
    prune: bool = False,
    report: Report = lambda _progress: None,
) -> BacklogProgress:
    """Embed what is missing, of all projects or of one (its path or id), and report after each batch.

    ``run_id`` is stored with the vectors. ``prune`` then drops the vectors of other models, of those documents
    that have current ones of this model. A dead embedder ends the job; a text that it refuses fails its document.

    Raises:
        UnknownProjectError: the ledger has no project of that path or id.
    """
    project_id = None
    if project is not None:
        project_id = await ledger.in_read(STAGE, partial(store.find_project, project=project))
    model = embedder.name
    count = partial(store.count_backlog, model=model, project_id=project_id)
    tally = _Tally(BacklogProgress(total=await ledger.in_read(STAGE, count)))
    report(tally.progress)
    vectorizer, after = Vectorizer(embedder, STAGE), ""
    while not tally.progress.ended_by:
        found = await ledger.in_read(STAGE, partial(_look, after=after, model=model, project_id=project_id))
        if not found.asked:
            break
        after = found.asked[-1].document_id
        async for batch in vectorizer.batches(found):
            with _reporting(tally, report):
                if batch.copied or batch.computed:
                    await ledger.in_write(STAGE, partial(_write, batch=batch, run_id=run_id, tally=tally))
                else:
                    tally.progress = _after(tally.progress, batch, frozenset())  # nothing that needs the lock
            if batch.ended_by:
                break
    if prune and not tally.progress.ended_by:
        while True:
            with _reporting(tally, report):
                some = partial(_prune, tally=tally, model=model, project_id=project_id)
                if not await ledger.in_write(STAGE, some):
                    break
    return tally.progress


class _Tally:
    """The progress as in the ledger: counted inside the window, and reset if that is not committed."""

    def __init__(self, progress: BacklogProgress) -> None:
        self.progress = progress

    def count(self, tx: Transaction, progress: BacklogProgress) -> None:
        tx.on_rollback(partial(setattr, self, "progress", self.progress))
        self.progress = progress


@contextmanager
def _reporting(tally: _Tally, report: Report) -> Iterator[None]:
    """Report even if the job is stopped: a window that had begun is committed first, and counts."""
    before = tally.progress
    try:
        yield
    finally:
        if tally.progress is not before:
            report(tally.progress)


def _look(tx: Transaction, *, after: str, model: str, project_id: int | None) -> Found:
    return look(tx, store.load_backlog(tx, model, project_id=project_id, after=after, limit=WINDOW_SIZE), model)


def _write(tx: Transaction, *, batch: Batch, run_id: str, tally: _Tally) -> None:
    written = write_vectors(tx, run_id, [*batch.copied, *batch.computed])
    tally.count(tx, _after(tally.progress, batch, written))


def _after(progress: BacklogProgress, batch: Batch, written: frozenset[str]) -> BacklogProgress:
    reused = written & {one.document_id for one in batch.copied}
    refused = tuple(
        FailedDocument(document_id, failure)
        for document_id, failure in batch.failures.items()
        if failure is not batch.ended_by
    )
    return replace(
        progress,
        embedded=progress.embedded + len(written - reused),
        reused=progress.reused + len(reused),
        superseded=progress.superseded + len(batch.copied) + len(batch.computed) - len(written),
        failed=progress.failed + refused,
        ended_by=batch.ended_by,
    )


def _prune(tx: Transaction, *, tally: _Tally, model: str, project_id: int | None) -> int:
    """Prune ``PRUNE_SIZE`` documents, so that nobody waits long for the lock; returns how many were pruned."""
    pruned = store.prune_other_models(tx, model, project_id=project_id, limit=PRUNE_SIZE)
    if pruned:
        tally.count(tx, replace(tally.progress, pruned=tally.progress.pruned + pruned))
    return pruned
