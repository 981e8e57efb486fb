"""The graph-backed asset: five ops, each a thin shell around its stage, and the tables they keep up to date."""

from typing import Any

import dagster as dg

from surgical_pipeline.defs.asset_keys import (
    DISCUSSIONS,
    DOCUMENTS,
    EMBEDDINGS,
    GITLAB,
    ISSUES,
    MERGE_REQUESTS,
    RESOURCE_EVENTS,
)
from surgical_pipeline.defs.dagster_runs import OUTCOME_TAG, PEOPLE_PRIORITY, PRIORITY_TAG, SYNC_JOB
from surgical_pipeline.defs.gateways import GATEWAYS, RunGateways
from surgical_pipeline.defs.handing_on import NOTHING, handed_on, outputs_stored_elsewhere
from surgical_pipeline.defs.read_more import read_more
from surgical_pipeline.defs.sync.again import (
    dependents_here,
    documents_here,
    fetched_dependents,
    snapshots_here,
    sources_here,
)
from surgical_pipeline.defs.sync.catalog import described
from surgical_pipeline.defs.sync.config import GRAPH, StageConfig, example_config, to_ops
from surgical_pipeline.defs.sync.metadata import ledger_says, result_metadata
from surgical_pipeline.defs.sync.session import finish, stage
from surgical_pipeline.defs.sync.stage_report import row_count, tell_failures
from surgical_pipeline.domain.handover import GenerateDocsResult, PreflightResult, Sources
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.embed import run_embed_for_document_ids
from surgical_pipeline.stages.ingest import run_ingest
from surgical_pipeline.stages.preflight import run_preflight

_AS_COLUMNS = "as GitLab answered; the columns are those of the typed table."
_OUTPUTS = {
    "issues": (ISSUES, set(), f"Issues of GitLab by project and IID, {_AS_COLUMNS}"),
    "merge_requests": (
        MERGE_REQUESTS,
        set(),
        f"Merge requests of GitLab by project and IID, {_AS_COLUMNS}",
    ),
    "discussions": (
        DISCUSSIONS,
        {ISSUES, MERGE_REQUESTS},
        "Discussions of both and their notes, replaced whole. Notes are the typed table `notes`.",
    ),
    "resource_events": (
        RESOURCE_EVENTS,
        {ISSUES, MERGE_REQUESTS},
        "Label, state and milestone events of both, a typed table for each kind.",
    ),
    "documents": (
        DOCUMENTS,
        set(GITLAB),
        "What people search: one text for each issue, merge request and discussion.",
    ),
    "embeddings": (EMBEDDINGS, {DOCUMENTS}, "Vectors of exactly those documents whose text changed."),
}
_STAGE_KEYS = {GATEWAYS}


@dg.op(required_resource_keys=_STAGE_KEYS, out=handed_on(PreflightResult))
def preflight(context: dg.OpExecutionContext, config: StageConfig) -> PreflightResult:
    """Fetch exactly the named issues and merge requests, and make sure that they are the ones that were meant."""
    with stage(context, config, phase=Phase.PREFLIGHT) as session:
        gateways = session.gateways

        async def work() -> PreflightResult:
            async with gateways.gitlab(session.budgets.max_requests_in_flight) as gitlab:
                return await run_preflight(
                    session.scope,
                    gitlab=gitlab,
                    snapshots=gateways.snapshots,
                    budgets=session.budgets,
                    belongs_to=gateways.run.belongs_to,
                    tally=gateways.tally,
                    clock=gateways.monotonic,
                )

        return gateways.with_gitlab_time(gateways.run_async(work))


@dg.op(
    required_resource_keys=_STAGE_KEYS,
    out={"issues": NOTHING, "merge_requests": NOTHING, "sources": handed_on(Sources)},
)
def ingest(
    context: dg.OpExecutionContext, config: StageConfig, preflight: PreflightResult | None
) -> tuple[None, None, Sources]:
    """Write them in short guarded transactions: a row is replaced only by a fresher one."""
    here = preflight if preflight and SnapshotFile(preflight.snapshots).exists else None
    with stage(context, config, phase=Phase.INGEST, handed_on=here is not None) as session:
        gateways = session.gateways
        gateways.take_gitlab_time(here)

        async def work() -> Sources:
            return await run_ingest(
                await snapshots_here(here, session=session),
                run=gateways.run,
                clock=gateways.gitlab_clock,
                only_changed=session.only_changed,
                tally=gateways.tally,
            )

        sources = gateways.run_async(work)
    return None, None, sources


@dg.op(
    required_resource_keys=_STAGE_KEYS,
    out={"discussions": NOTHING, "resource_events": NOTHING, "sources": handed_on(Sources)},
)
def dependents(
    context: dg.OpExecutionContext, config: StageConfig, sources: Sources | None
) -> tuple[None, None, Sources]:
    """Fetch discussions, events and what else is configured; replace each whole or not at all."""
    with stage(context, config, phase=Phase.DEPENDENTS, handed_on=sources is not None) as session:

        async def work() -> Sources:
            return await fetched_dependents(await sources_here(sources, session=session), session=session)

        fresh = session.gateways.run_async(work)
    return None, None, fresh


@dg.op(
    required_resource_keys=_STAGE_KEYS,
    out={"documents": NOTHING, "regenerated": handed_on(GenerateDocsResult)},
)
def docs(
    context: dg.OpExecutionContext, config: StageConfig, sources: Sources | None
) -> tuple[None, GenerateDocsResult]:
    """Render their documents; hand on the ids of those whose text changed."""
    with stage(context, config, phase=Phase.DOCS, handed_on=sources is not None) as session:
        gateways = session.gateways

        async def work() -> GenerateDocsResult:
            return await run_generate_docs_for_sources(
                await dependents_here(sources, session=session), run=gateways.run, tally=gateways.tally
            )

        regenerated = session.gateways.run_async(work)
    return None, regenerated


@dg.op(required_resource_keys=_STAGE_KEYS, out={"embeddings": NOTHING})
def embed(context: dg.OpExecutionContext, config: StageConfig, regenerated: GenerateDocsResult | None) -> None:
    """Embed exactly those documents, then conclude the run."""
    with stage(context, config, phase=Phase.EMBED, handed_on=regenerated is not None) as session:
        gateways: RunGateways = session.gateways

        async def work() -> None:
            documents = await documents_here(regenerated, session=session)
            await run_embed_for_document_ids(
                documents,
                embedder=gateways.embedder,
                run=gateways.run,
                budgets=session.budgets,
                tally=gateways.tally,
                clock=gateways.monotonic,
                conclude=True,
            )

        gateways.run_async(work)
        finish(gateways)
    told = ledger_says(gateways, count=[Phase.EMBED])
    if told.result is not None:
        tell_failures(context.log, told.result)
        context.instance.add_run_tags(context.run_id, {OUTCOME_TAG: told.result.completion_status})
        metadata = result_metadata(told.result, told.gitlab_url)
        context.add_output_metadata(
            {**metadata, **row_count(told.row_counts, "embeddings")}, output_name="embeddings"
        )


@dg.graph(name=GRAPH, out={name: dg.GraphOut() for name in _OUTPUTS}, config=to_ops)
def surgical_sync_graph() -> Any:
    """Bring exactly the named issues and merge requests up to date: rows, dependents, documents, embeddings."""
    issues, merge_requests, sources = ingest(preflight())
    discussions, resource_events, sources = dependents(sources)
    documents, regenerated = docs(sources)
    return {
        "issues": issues,
        "merge_requests": merge_requests,
        "discussions": discussions,
        "resource_events": resource_events,
        "documents": documents,
        "embeddings": embed(regenerated),
    }


surgical_sync = dg.AssetsDefinition.from_graph(
    outputs_stored_elsewhere(surgical_sync_graph),
    keys_by_output_name={name: key for name, (key, _, _) in _OUTPUTS.items()},
    internal_asset_deps={name: deps for name, (_, deps, _) in _OUTPUTS.items()},
    descriptions_by_output_name={name: text for name, (_, _, text) in _OUTPUTS.items()},
    group_name="surgical",
).map_asset_specs(described)

surgical_sync_job = dg.define_asset_job(
    SYNC_JOB,
    selection=[surgical_sync],
    description="Brings exactly the GitLab issues and merge requests that the config names up to date, and no "
    "others: their rows, discussions, events, documents and embeddings. To launch it, choose *Open launchpad* in "
    "the menu beside *Materialize all*, and name a project with IIDs, or a scope. The table `entities` of the "
    "asset `embeddings` tells what became of each. A run that left something out of date has the tag "
    "`surgical/outcome: succeeded_with_warnings`.",
    config=example_config(),
    metadata=read_more("docs/scopes.md"),
    run_tags={PRIORITY_TAG: PEOPLE_PRIORITY},
    executor_def=dg.in_process_executor,
)
