"""A re-execution that continues after preflight asks again for what preflight could not fetch.

What the stages before handed on lies on the machine that ran them. On another one there is nothing to go on with:
then the stage in which the run is begins with preflight and what else comes before it.
"""

import socket
from collections.abc import Sequence
from dataclasses import replace

from surgical_pipeline.defs.sync.session import StageSession
from surgical_pipeline.domain.failures import StageFailedError
from surgical_pipeline.domain.handover import GenerateDocsResult, PreflightResult, Sources
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.records import DocumentVersion
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.stages.dependents import run_dependents
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.ingest import run_ingest
from surgical_pipeline.stages.preflight import run_preflight


async def snapshots_here(before: PreflightResult | None, *, session: StageSession) -> PreflightResult:
    """What ingest writes: what preflight handed on, with what it could not fetch; or another preflight's."""
    if before is not None:
        return await _asked_again(before, session=session)
    session.tell(
        f"What the stages before handed on is not on this machine, {socket.gethostname()}: they ran on another, "
        "or their files are gone. So everything is fetched again, by another preflight."
    )
    found = await _fetched(session.scope, session=session)
    session.gateways.run.enter(Phase.INGEST)
    return found


async def sources_here(sources: Sources | None, *, session: StageSession) -> Sources:
    """What ingest handed on, with what could not be fetched before; or what it would."""
    if sources is not None:
        return _with_more(sources, await _missed_sources(session))
    found = await _ingested(await snapshots_here(None, session=session), session=session)
    session.gateways.run.enter(Phase.DEPENDENTS)
    return found


async def dependents_here(sources: Sources | None, *, session: StageSession) -> Sources:
    """What dependents handed on, with what could not be fetched before; or what it would."""
    if sources is None:
        found = await fetched_dependents(await sources_here(None, session=session), session=session)
        session.gateways.run.enter(Phase.DOCS)
        return found
    more = await _missed_sources(session)
    return _with_more(sources, more and await fetched_dependents(more, session=session))


async def documents_here(
    regenerated: GenerateDocsResult | None, *, session: StageSession
) -> tuple[DocumentVersion, ...]:
    """The documents of docs, with those of what could not be fetched before; or those it would hand on."""
    run = session.gateways.run
    if regenerated is None:
        sources = await dependents_here(None, session=session)
        found = await run_generate_docs_for_sources(sources, run=run)
        run.enter(Phase.EMBED)
        return found.documents
    more = await _missed_sources(session)
    if more is None:
        return regenerated.documents
    more = await fetched_dependents(more, session=session)
    return regenerated.documents + (await run_generate_docs_for_sources(more, run=run)).documents


async def _ingested(found: PreflightResult, *, session: StageSession) -> Sources:
    return await run_ingest(
        found,
        run=session.gateways.run,
        clock=session.gateways.gitlab_clock,
        only_changed=session.only_changed,
    )


async def _asked_again(before: PreflightResult, *, session: StageSession) -> PreflightResult:
    """The result of the parent's preflight, plus entities that failed transiently and can be fetched now."""
    missed = [one.key for one in before.failures if one.failure.retryable]
    if not session.goes_on or not missed:
        return before
    own = session.gateways.snapshots
    for batch in SnapshotFile(before.snapshots).batches():
        own.append(batch)
    now = await _fetched_now(missed, session=session)
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


async def _missed_sources(session: StageSession) -> Sources | None:
    """The same if ingest is already done: writes those that can be fetched now; None if there are none."""
    if not session.goes_on:
        return None
    run = session.gateways.run
    failed = [(one.key, one.failure) for one in run.outcomes() if one.failure]
    missed = [key for key, failure in failed if failure.stage == Phase.PREFLIGHT and failure.retryable]
    now = await _fetched_now(missed, session=session) if missed else None
    if now is None:
        return None
    try:
        return await _ingested(now, session=session)
    except StageFailedError:
        return None  # their outcomes say so; the others go on


def _with_more(sources: Sources, more: Sources | None) -> Sources:
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


async def _fetched_now(keys: Sequence[EntityKey], *, session: StageSession) -> PreflightResult | None:
    """None: GitLab still returns none of them, and their outcomes already say so."""
    scope = Scope.of(
        session.scope.project,
        issue_iids=(key.iid for key in keys if key.entity_type is EntityType.ISSUE),
        mr_iids=(key.iid for key in keys if key.entity_type is EntityType.MERGE_REQUEST),
    )
    try:
        return await _fetched(scope, session=session)
    except StageFailedError as error:
        if not error.failure.retryable:
            raise
        return None


async def _fetched(scope: Scope, *, session: StageSession) -> PreflightResult:
    gateways = session.gateways
    async with gateways.gitlab(session.budgets.max_requests_in_flight) as gitlab:
        return await run_preflight(
            scope,
            gitlab=gitlab,
            snapshots=gateways.snapshots,
            budgets=session.budgets,
            belongs_to=gateways.run.belongs_to,
            clock=gateways.monotonic,
        )
