"""Ingest: write the snapshots, in windows of at most 100 entities, each guarded by freshness.

Takes preflight's snapshots, gives the entities whose rows are now as fresh as this run can have them. What GitLab
no longer has is remembered, and tombstoned at the second miss in a row.
"""

from collections.abc import Sequence
from functools import partial

from surgical_pipeline.domain.failures import Failure, FailureCode, StageFailedError, none_usable
from surgical_pipeline.domain.freshness import is_settled
from surgical_pipeline.domain.handover import PreflightResult, Sources
from surgical_pipeline.domain.outcomes import EntityOutcome, failures_of, outcome_of
from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger import content
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder

STAGE = "ingest"
WINDOW_SIZE = 100
"""Entities of one write window."""


async def run_ingest(preflight: PreflightResult, *, run: SyncRunRecorder) -> Sources:
    """Write project, entities and misses, with an outcome for each.

    Raises:
        StageFailedError: nothing usable came of all that was asked for.
    """
    batches = SnapshotFile(preflight.snapshots).batches(WINDOW_SIZE)
    first = next(batches, ())
    outcomes = await run.in_window(
        STAGE,
        lambda tx: _write_absences(tx, run=run, preflight=preflight) + _write_entities(tx, run=run, batch=first),
    )
    for batch in batches:
        outcomes += await run.in_window(STAGE, partial(_write_entities, run=run, batch=batch))
    if not any(outcome.usable for outcome in outcomes):
        failures = [failed for outcome in outcomes for failed in failures_of(outcome)]
        raise StageFailedError(none_usable(failures, stage=STAGE))
    return Sources(
        project_id=preflight.project.project_id,
        project_path=preflight.project.path,
        keys=tuple(sorted(outcome.key for outcome in outcomes if outcome.ingested or outcome.stale_skipped)),
    )


def _write_absences(tx: Transaction, *, run: SyncRunRecorder, preflight: PreflightResult) -> list[EntityOutcome]:
    """The project, and what could not be fetched: it is known before the first entity is written."""
    project = preflight.project
    content.upsert_project(tx, run.run_id, project=project, fetched_at=preflight.asked_at)
    run.set_project(project.project_id, project.path, tx=tx)
    misses = content.record_misses(
        tx, run.run_id, project.project_id, keys=preflight.missing, missed_at=preflight.asked_at
    )
    not_found = Failure(
        code=FailureCode.NOT_FOUND, message=f"{project.path} has no such IID (any more)", stage="preflight"
    )
    outcomes = [
        EntityOutcome(
            entity_type=key.entity_type, iid=key.iid, tombstoned=key in misses.tombstoned, failure=not_found
        )
        for key in preflight.missing
    ]
    outcomes += [outcome_of(failed) for failed in preflight.failures]
    run.save_outcomes(tx, outcomes)
    run.add_counters(tx, tombstoned=len(misses.tombstoned))
    return outcomes


def _write_entities(
    tx: Transaction, *, run: SyncRunRecorder, batch: Sequence[EntityRecord]
) -> list[EntityOutcome]:
    written = content.upsert_entities(tx, run.run_id, records=batch)
    outcomes = [
        EntityOutcome(
            entity_type=record.key.entity_type,
            iid=record.key.iid,
            fetched=True,
            ingested=record.key in written,
            stale_skipped=record.key not in written,
            settled=is_settled(record.updated_at, record.fetched_at),
            moved_to_id=record.moved_to_id,
        )
        for record in batch
    ]
    run.save_outcomes(tx, outcomes)
    run.add_counters(tx, fetched=len(batch), ingested=len(written), stale_skipped=len(batch) - len(written))
    return outcomes
