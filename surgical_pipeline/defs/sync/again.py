"""A re-execution that continues after preflight asks again for what preflight could not fetch."""

from collections.abc import Sequence
from dataclasses import replace

from surgical_pipeline.defs.sync.session import StageSession
from surgical_pipeline.domain.failures import StageFailedError
from surgical_pipeline.domain.handover import PreflightResult, Sources
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.records import DocumentVersion
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.stages.dependents import run_dependents
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.ingest import run_ingest
from surgical_pipeline.stages.preflight import run_preflight


async def asked_again(before: PreflightResult, *, session: StageSession) -> PreflightResult:
    """The result of the parent's preflight, plus entities that failed transiently and can be fetched now."""
    missed = [one.key for one in before.failures if one.failure.retryable]
    if not session.goes_on or not missed:
        return before
    own = session.gateways.snapshots
    for batch in SnapshotFile(before.snapshots).batches():
        own.append(batch)
    now = await _fetched(missed, session=session)
    if now is None:
        return before
    failed_for_good = tuple(one for one in before.failures if not one.failure.retryable)
    return replace(
        before,
        snapshots=own.path,
        fetched=tuple(sorted(before.fetched + now.fetched)),
        missing=tuple(sorted(before.missing + now.missing)),
        failures=failed_for_good + now.failures,
    )


async def missed_sources(session: StageSession) -> Sources | None:
    """The same if ingest is already done: writes those that can be fetched now; None if there are none."""
    if not session.goes_on:
        return None
    run = session.gateways.run
    failed = [(one.key, one.failure) for one in run.outcomes() if one.failure]
    missed = [key for key, failure in failed if failure.stage == Phase.PREFLIGHT and failure.retryable]
    now = await _fetched(missed, session=session) if missed else None
    if now is None:
        return None
    try:
        return await run_ingest(
            now, run=run, clock=session.gateways.gitlab_clock, only_changed=session.only_changed
        )
    except StageFailedError:
        return None  # their outcomes say so; the others go on


def with_more(sources: Sources, more: Sources | None) -> Sources:
    if more is None:
        return sources
    keys = tuple(sorted({*sources.keys, *more.keys}))
    return replace(
        sources,
        keys=keys,
        gitlab_ids={**sources.gitlab_ids, **more.gitlab_ids},
        unchanged=sources.unchanged | more.unchanged,
    )


async def fetched_dependents(sources: Sources, *, session: StageSession) -> Sources:
    """The stage dependents, with the session's gateways and limits."""
    gateways = session.gateways
    async with gateways.gitlab(session.budgets.max_requests_in_flight) as gitlab:
        return await run_dependents(
            sources,
            gitlab=gitlab,
            run=gateways.run,
            budgets=session.budgets,
            dependents=session.dependents,
            belongs_to=gateways.belonging_to_check,
            tally=gateways.tally,
            clock=gateways.monotonic,
        )


async def missed_documents(session: StageSession) -> tuple[DocumentVersion, ...]:
    """The documents of `missed_sources`, if docs is already done."""
    more = await missed_sources(session)
    if more is None:
        return ()
    more = await fetched_dependents(more, session=session)
    return (await run_generate_docs_for_sources(more, run=session.gateways.run)).documents


async def _fetched(keys: Sequence[EntityKey], *, session: StageSession) -> PreflightResult | None:
    """None: GitLab still returns none of them, and their outcomes already say so."""
    gateways = session.gateways
    scope = Scope.of(
        session.scope.project,
        issue_iids=(key.iid for key in keys if key.entity_type is EntityType.ISSUE),
        mr_iids=(key.iid for key in keys if key.entity_type is EntityType.MERGE_REQUEST),
    )
    try:
        async with gateways.gitlab(session.budgets.max_requests_in_flight) as gitlab:
            return await run_preflight(
                scope,
                gitlab=gitlab,
                snapshots=gateways.snapshots,
                budgets=session.budgets,
                belongs_to=gateways.run.belongs_to,
                clock=gateways.monotonic,
            )
    except StageFailedError as error:
        if not error.failure.retryable:
            raise
        return None
