"""`surgical_backfill_job`: the same stages with the scope taken from the partition key."""

from typing import Any

import dagster as dg

from surgical_pipeline.defs.asset_keys import ASSETS, EMBEDDINGS
from surgical_pipeline.defs.dagster_runs import BACKFILL_JOB, BACKGROUND
from surgical_pipeline.defs.gateways import GATEWAYS, gateways_of
from surgical_pipeline.defs.handing_on import NOTHING
from surgical_pipeline.defs.read_more import read_more
from surgical_pipeline.defs.sync.asset import surgical_sync_graph
from surgical_pipeline.defs.sync.checks import check_results
from surgical_pipeline.defs.sync.metadata import OUTCOME_TABLE, ledger_says, result_metadata
from surgical_pipeline.defs.sync.stage_report import figures_by_output, row_count
from surgical_pipeline.domain.lifecycle import STAGES
from surgical_pipeline.domain.limits import MAX_CHUNK

SCOPES = dg.DynamicPartitionsDefinition(name="scopes")
"""Each key is a scope text of at most one chunk, such as ``group/project#1-500``."""


@dg.op(required_resource_keys={GATEWAYS}, ins={"embeddings": dg.In(dg.Nothing)}, out=NOTHING)
def catalog(context: dg.OpExecutionContext) -> None:
    """Tell Dagster's catalog what the run did: the tables that it kept up to date, and the checks on them.

    The job is made of the graph, not of the asset, so nothing else does.
    """
    gateways = gateways_of(context)
    told = ledger_says(gateways, count=STAGES)
    whole = {} if told.result is None else result_metadata(told.result, told.gitlab_url)
    figures = {name: value for name, value in whole.items() if name != OUTCOME_TABLE}
    own = figures_by_output(told.result.entity_outcomes if told.result else ())
    for key in ASSETS:
        name = key.path[-1]
        shown = whole if key == EMBEDDINGS else figures  # the long table once, as in the asset's own job
        metadata = {**shown, **own.get(name, {}), **row_count(told.row_counts, name)}
        context.log_event(dg.AssetMaterialization(key, partition=context.partition_key, metadata=metadata))
    for checked in check_results(gateways, context.run_id):
        context.log_event(_evaluation(checked))  # type: ignore[arg-type]  # Dagster takes it, and does not say so


def _evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    if result.asset_key is None or result.check_name is None:
        raise AssertionError("each of our checks names its asset and itself")
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata,
        severity=result.severity,
        description=result.description,
    )


@dg.graph
def surgical_backfill() -> None:
    """The graph again, one level down, so that its config has the same place as in the asset's job."""
    outputs: Any = surgical_sync_graph()
    catalog(outputs.embeddings)


surgical_backfill_job = surgical_backfill.to_job(
    name=BACKFILL_JOB,
    description=f"The same stages with the scope taken from the partition key: one run for each chosen partition, "
    f"of at most {MAX_CHUNK:,} issues and merge requests. Keys are made by `plan_backfill` or "
    "`surgical-pipeline backfill`, and their runs have its options; chunks that are launched again from the page "
    "Partitions run with the defaults of the config.",
    partitions_def=SCOPES,
    metadata=read_more("docs/backfills.md"),
    tags=BACKGROUND,
    executor_def=dg.in_process_executor,
)
"""A separate job, because the launchpad of a partitioned asset refuses to start without a partition.

It keeps no config by key, which would silently win over a backfill's own.
"""
