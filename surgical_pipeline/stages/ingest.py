"""Ingest: write the snapshots, in windows of at most 100 entities, each guarded by freshness.

Takes preflight's snapshots, returns the entities whose rows are now as fresh as this run can make them. An entity
that GitLab no longer has is marked as missed, and tombstoned at the second miss in a row.
"""

from collections.abc import Callable, Sequence
from functools import partial

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import Failure, FailureCode, StageFailedError, none_usable
from surgical_pipeline.domain.freshness import Present, is_settled
from surgical_pipeline.domain.handover import PreflightResult, Sources
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityWarning, failures_of, outcome_of
from surgical_pipeline.domain.progress import UNWATCHED, Tally
from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger import content
from surgical_pipeline.ledger.belonging import claim
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.unchanged import find_unchanged

STAGE = "ingest"
WINDOW_SIZE = 100
"""Entities per write window."""


async def run_ingest(
    preflight: PreflightResult,
    *,
    run: SyncRunRecorder,
    clock: GitLabClock | None = None,
    only_changed: Sequence[Dependent] = (),
    tally: Tally = UNWATCHED,
) -> Sources:
    """Write project, entities and misses, with an outcome for each.

    ``only_changed``: the dependents to fetch, if those of unchanged entities are not to be fetched; else empty.

    ``clock``: GitLab's, as this process knows it. If it does not know GitLab's time, as in a run that continues
    with another process's snapshots, the fetch times in the ledger are believed.

    Raises:
        StageFailedError: no requested entity is usable, or the ledger has come to belong to another GitLab
            since preflight.
    """
    tally.begin(STAGE, len(preflight.fetched) + len(preflight.missing) + len(preflight.failures))
    batches = SnapshotFile(preflight.snapshots).batches(WINDOW_SIZE)
    gitlab_clock = clock or GitLabClock()
    outcomes = list[EntityOutcome]()
    gitlab_ids = dict[EntityKey, int]()
    batch: Sequence[EntityRecord] | None = next(batches, ())
    absences: PreflightResult | None = preflight
    while batch is not None:
        following = next(batches, None)
        write = partial(
            _write, run=run, absences=absences, batch=batch, clock=gitlab_clock, only_changed=only_changed
        )
        if following is None:
            write = partial(_write_last, write=write, run=run, usable=any(one.usable for one in outcomes))
        written = await run.in_window(STAGE, write)
        tally.count(len(written), failed=sum(one.failure is not None for one in written))
        outcomes += written
        gitlab_ids |= {record.key: record.gitlab_id for record in batch}
        batch, absences = following, None
    if not any(outcome.usable for outcome in outcomes):
        failures = [failed for outcome in outcomes for failed in failures_of(outcome)]
        raise StageFailedError(none_usable(failures, stage=STAGE))
    return Sources(
        project_id=preflight.project.project_id,
        project_path=preflight.project.path,
        keys=tuple(sorted(outcome.key for outcome in outcomes if outcome.ingested or outcome.stale_skipped)),
        gitlab_ids=gitlab_ids,
        unchanged=frozenset(outcome.key for outcome in outcomes if outcome.unchanged),
    )


def _write(
    tx: Transaction,
    *,
    run: SyncRunRecorder,
    absences: PreflightResult | None,
    batch: Sequence[EntityRecord],
    clock: GitLabClock,
    only_changed: Sequence[Dependent],
) -> list[EntityOutcome]:
    write_entities = partial(_write_entities, run=run, batch=batch, clock=clock, only_changed=only_changed)
    if absences is None:
        return write_entities(tx)
    warnings = _write_project(tx, run=run, preflight=absences, present=clock.present)
    outcomes = _write_absences(tx, run=run, preflight=absences, present=clock.present)
    outcomes += write_entities(tx)
    return _warned(tx, outcomes, run=run, warnings=warnings)


def _write_last(
    tx: Transaction, *, write: Callable[[Transaction], list[EntityOutcome]], run: SyncRunRecorder, usable: bool
) -> list[EntityOutcome]:
    """The last window enters the next stage, if anything is left to process."""
    outcomes = write(tx)
    if usable or any(outcome.usable for outcome in outcomes):
        run.set_phase(Phase.DEPENDENTS, tx)
    return outcomes


def _write_project(
    tx: Transaction, *, run: SyncRunRecorder, preflight: PreflightResult, present: Present | None
) -> tuple[EntityWarning, ...]:
    """Write the project, unless it is another GitLab's; returns a warning for each project that it supersedes."""
    project = preflight.project
    if objection := claim(tx, run.run_id, project):
        raise StageFailedError(Failure(code=FailureCode.PROJECT_MISMATCH, message=objection, stage=STAGE))
    superseded = content.upsert_project(
        tx, run.run_id, project=project, fetched_at=preflight.asked_at, present=present
    )
    run.set_project(project.project_id, project.path, tx=tx)
    return tuple(
        EntityWarning(
            stage=STAGE,
            message=f"{project.path} was project {older} before and is project {current} now: what the ledger has "
            "of the older one is kept, and searches leave it out",
        )
        for older, current in superseded.items()
    )


def _warned(
    tx: Transaction,
    outcomes: list[EntityOutcome],
    *,
    run: SyncRunRecorder,
    warnings: tuple[EntityWarning, ...],
) -> list[EntityOutcome]:
    """Attach warnings about the whole run to its first outcome: once, not once for each entity."""
    if not warnings:
        return outcomes
    first = outcomes[0].model_copy(update={"warnings": (*outcomes[0].warnings, *warnings)})
    run.save_outcomes(tx, [first])
    return [first, *outcomes[1:]]


def _write_absences(
    tx: Transaction, *, run: SyncRunRecorder, preflight: PreflightResult, present: Present | None
) -> list[EntityOutcome]:
    """Entities that could not be fetched: known before the first entity is written."""
    project = preflight.project
    misses = content.record_misses(
        tx, run.run_id, project.project_id, keys=preflight.missing, missed_at=preflight.asked_at, present=present
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
    tx: Transaction,
    *,
    run: SyncRunRecorder,
    batch: Sequence[EntityRecord],
    clock: GitLabClock,
    only_changed: Sequence[Dependent],
) -> list[EntityOutcome]:
    asked = clock.present
    unchanged = find_unchanged(tx, batch, dependents=only_changed, present=asked) if only_changed else {}
    written = content.upsert_entities(tx, run.run_id, records=batch, present=asked, same_since=unchanged)
    outcomes = [
        EntityOutcome(
            entity_type=record.key.entity_type,
            iid=record.key.iid,
            fetched=True,
            ingested=record.key in written,
            stale_skipped=record.key not in written,
            unchanged=record.key in unchanged and record.key in written,
            settled=is_settled(record.updated_at, record.fetched_at),
            moved_to_id=record.moved_to_id,
            warnings=tuple(EntityWarning(stage=STAGE, message=one) for one in written.get(record.key, ())),
        )
        for record in batch
    ]
    run.save_outcomes(tx, outcomes)
    run.add_counters(tx, fetched=len(batch), ingested=len(written), stale_skipped=len(batch) - len(written))
    return outcomes
