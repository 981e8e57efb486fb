"""The graph-backed asset: five ops, each a thin shell around its stage, and the tables they keep up to date."""

from typing import Any

import dagster as dg

from surgical_pipeline.defs.dagster_runs import OUTCOME_TAG, PEOPLE_PRIORITY, PRIORITY_TAG, SYNC_JOB
from surgical_pipeline.defs.gateways import RunGateways
from surgical_pipeline.defs.read_more import read_more
from surgical_pipeline.defs.sync.again import (
    asked_again,
    fetched_dependents,
    missed_documents,
    missed_sources,
    with_more,
)
from surgical_pipeline.defs.sync.catalog import described
from surgical_pipeline.defs.sync.config import GRAPH, StageConfig, example_config, to_ops
from surgical_pipeline.defs.sync.metadata import ledger_says, result_metadata
from surgical_pipeline.defs.sync.session import finish, stage
from surgical_pipeline.defs.sync.stage_report import row_count, tell_failures
from surgical_pipeline.domain.handover import GenerateDocsResult, PreflightResult, Sources
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.embed import run_embed_for_document_ids
from surgical_pipeline.stages.ingest import run_ingest
from surgical_pipeline.stages.preflight import run_preflight

ISSUES = dg.AssetKey(["gitlab", "issues"])
MERGE_REQUESTS = dg.AssetKey(["gitlab", "merge_requests"])
DISCUSSIONS = dg.AssetKey(["gitlab", "discussions"])
RESOURCE_EVENTS = dg.AssetKey(["gitlab", "resource_events"])
DOCUMENTS = dg.AssetKey("documents")
EMBEDDINGS = dg.AssetKey("embeddings")

ASSETS = (ISSUES, MERGE_REQUESTS, DISCUSSIONS, RESOURCE_EVENTS, DOCUMENTS, EMBEDDINGS)
"""All that a run keeps up to date."""

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
        {ISSUES, MERGE_REQUESTS, DISCUSSIONS, RESOURCE_EVENTS},
        "What people search: one text for each issue, merge request and discussion.",
    ),
    "embeddings": (EMBEDDINGS, {DOCUMENTS}, "Vectors of exactly those documents whose text changed."),
}
_NOTHING = dg.Out(dg.Nothing)
_STAGE_KEYS = {"gateways"}


@dg.op(required_resource_keys=_STAGE_KEYS)
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

        return gateways.run_async(work)


@dg.op(
    required_resource_keys=_STAGE_KEYS,
    out={"issues": _NOTHING, "merge_requests": _NOTHING, "sources": dg.Out(Sources)},
)
def ingest(
    context: dg.OpExecutionContext, config: StageConfig, preflight: PreflightResult
) -> tuple[None, None, Sources]:
    """Write them in short guarded transactions: a row is replaced only by a fresher one."""
    with stage(context, config, phase=Phase.INGEST) as session:
        gateways = session.gateways

        async def work() -> Sources:
            asked = await asked_again(preflight, session=session)
            return await run_ingest(
                asked,
                run=gateways.run,
                clock=gateways.gitlab_clock,
                only_changed=session.only_changed,
                tally=gateways.tally,
            )

        sources = gateways.run_async(work)
    return None, None, sources


@dg.op(
    required_resource_keys=_STAGE_KEYS,
    out={"discussions": _NOTHING, "resource_events": _NOTHING, "sources": dg.Out(Sources)},
)
def dependents(
    context: dg.OpExecutionContext, config: StageConfig, sources: Sources
) -> tuple[None, None, Sources]:
    """Fetch discussions, events and what else is configured; replace each whole or not at all."""
    with stage(context, config, phase=Phase.DEPENDENTS) as session:

        async def work() -> Sources:
            return await fetched_dependents(with_more(sources, await missed_sources(session)), session=session)

        sources = session.gateways.run_async(work)
    return None, None, sources


@dg.op(
    required_resource_keys=_STAGE_KEYS,
    out={"documents": _NOTHING, "regenerated": dg.Out(GenerateDocsResult)},
)
def docs(context: dg.OpExecutionContext, config: StageConfig, sources: Sources) -> tuple[None, GenerateDocsResult]:
    """Render their documents; hand on the ids of those whose text changed."""
    with stage(context, config, phase=Phase.DOCS) as session:
        gateways = session.gateways

        async def work() -> GenerateDocsResult:
            more = await missed_sources(session)
            if more is not None:
                more = await fetched_dependents(more, session=session)
            return await run_generate_docs_for_sources(
                with_more(sources, more), run=gateways.run, tally=gateways.tally
            )

        regenerated = session.gateways.run_async(work)
    return None, regenerated


@dg.op(required_resource_keys=_STAGE_KEYS, out={"embeddings": _NOTHING})
def embed(context: dg.OpExecutionContext, config: StageConfig, regenerated: GenerateDocsResult) -> None:
    """Embed exactly those documents, then conclude the run."""
    with stage(context, config, phase=Phase.EMBED) as session:
        gateways: RunGateways = session.gateways

        async def work() -> None:
            documents = regenerated.documents + await missed_documents(session)
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
    surgical_sync_graph,
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
