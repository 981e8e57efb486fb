"""Docs: render the documents of the given entities from what the ledger holds.

Takes the sources that dependents left; returns the ids of exactly the documents whose text changed. Reads in
one window, renders with the lock released, writes in another; a source that changed in between is read again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.handover import GenerateDocsResult, Sources
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger import documents as store
from surgical_pipeline.ledger.documents import EntityDocuments, EntitySource
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.stages.shared.rendering import documents_of

STAGE = "docs"
BATCH_SIZE = 250
"""Entities that are rendered and written together: their window takes 100 ms, plus 5 to 30 ms of overhead."""
PAUSES = (0.0, 0.1, 0.4, 1.0, 2.0)
"""Seconds before a source is read and rendered once more, if another run changed it meanwhile. Many runs that sync
the same entity at once are past its rows after some seconds."""
MAX_ATTEMPTS = 1 + len(PAUSES)

_KEEPS_CHANGING = Failure(
    code=FailureCode.DOCUMENT_ERROR,
    message=f"its rows changed {MAX_ATTEMPTS} times while its documents were being rendered",
    stage=STAGE,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The documents of one entity, or why there are none."""

    source: EntitySource
    documents: tuple[DocumentRecord, ...] = ()
    failure: Failure | None = None

    @property
    def changed(self) -> tuple[DocumentRecord, ...]:
        return tuple(one for one in self.documents if not self._is_known(one))

    @property
    def unchanged(self) -> tuple[DocumentRecord, ...]:
        return tuple(one for one in self.documents if self._is_known(one))

    def _is_known(self, document: DocumentRecord) -> bool:
        return self.source.existing.get(document.document_id) == document.content_hash


async def run_generate_docs_for_sources(sources: Sources, *, run: SyncRunRecorder) -> GenerateDocsResult:
    """Regenerate the documents of all sources whose text differs from the stored one."""
    written: list[_Rendered] = []
    for start in range(0, len(sources.keys), BATCH_SIZE):
        end = start + BATCH_SIZE
        written += await _generate(
            sources.project_id, sources.keys[start:end], run=run, last=end >= len(sources.keys)
        )
    return GenerateDocsResult(
        documents=tuple(document.version for one in written for document in one.changed),
        unchanged=sum(len(one.unchanged) for one in written),
        errored=sum(one.failure is not None for one in written),
    )


async def _generate(
    project_id: int, keys: Sequence[EntityKey], *, run: SyncRunRecorder, last: bool
) -> list[_Rendered]:
    """Read, render, write; again for sources that another run replaced meanwhile.

    ``last``: these are the last entities of the stage.
    """
    write_in = partial(_write, run=run, project_id=project_id, last=last)
    written: list[_Rendered] = []
    pending = set(keys)
    for pause in (0.0, *PAUSES):
        await anyio.sleep(pause)
        load = partial(store.load_sources, project_id=project_id, keys=sorted(pending))
        loaded = await run.in_read(STAGE, load)
        # Tombstoned by another run since ingest: rendering it would revive what GitLab no longer has.
        rendered = [_render(source) for source in loaded if not source.deleted]
        outdated = await run.in_window(STAGE, partial(write_in, rendered=rendered))
        written += [one for one in rendered if one.source.key not in outdated]
        pending = set(outdated)
        if not pending:
            return written
    # Not written, so it must neither count nor be embedded.
    given_up = [_Rendered(one.source, failure=_KEEPS_CHANGING) for one in rendered if one.source.key in pending]
    await run.in_window(STAGE, partial(write_in, rendered=given_up))
    return written + given_up


def _render(source: EntitySource) -> _Rendered:
    """Pure; an error that a payload causes fails its own entity only."""
    try:
        documents = tuple(documents_of(source))
    except Exception as error:
        log.exception("%s%s could not be rendered", source.project_path, source.key)
        message = f"rendering failed: {type(error).__name__}: {error}"
        return _Rendered(source, failure=Failure(code=FailureCode.DOCUMENT_ERROR, message=message, stage=STAGE))
    return _Rendered(source, documents)


def _write(
    tx: Transaction, *, run: SyncRunRecorder, project_id: int, rendered: Sequence[_Rendered], last: bool
) -> frozenset[EntityKey]:
    """Returns the keys whose source is no longer the rendered one; nothing of theirs is written."""
    good = [one for one in rendered if one.failure is None]
    outdated = store.write_documents(
        tx,
        run.run_id,
        project_id=project_id,
        batch=[
            EntityDocuments(
                key=one.source.key,
                source_version=one.source.version,
                regenerated=one.changed,
                unchanged=one.unchanged,
            )
            for one in good
        ],
    )
    done = {one.source.key: one for one in rendered if one.source.key not in outdated}
    run.save_outcomes(tx, [_outcome(known, done[known.key]) for known in run.outcomes(tx, keys=done.keys())])
    run.add_counters(
        tx,
        documents_regenerated=sum(len(one.changed) for one in done.values()),
        documents_unchanged=sum(len(one.unchanged) for one in done.values()),
        documents_errored=sum(one.failure is not None for one in done.values()),
    )
    if last and not outdated:
        run.set_phase(Phase.EMBED, tx)
    return outdated


def _outcome(known: EntityOutcome, rendered: _Rendered) -> EntityOutcome:
    if rendered.failure:
        return known.model_copy(update={"failure": known.failure or rendered.failure})
    ids = tuple(document.document_id for document in rendered.changed)
    return known.model_copy(update={"regenerated_document_ids": ids})
