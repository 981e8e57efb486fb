"""Asset checks that run at the end of every run and show in the UI."""

import dagster as dg

from surgical_pipeline.defs.asset import EMBEDDINGS
from surgical_pipeline.defs.gateways import RunGateways
from surgical_pipeline.ledger import checks

_KEYS = {"gateways"}


@dg.asset_check(
    asset=EMBEDDINGS,
    required_resource_keys=_KEYS,
    description="Every row that this run wrote belongs to an issue or merge request that it was given.",
)
def nothing_outside_scope_changed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    gateways: RunGateways = context.resources.gateways
    with gateways.ledger.read("check") as tx:
        outside = checks.rows_outside_scope(tx, context.run.run_id)
    return dg.AssetCheckResult(
        passed=not outside,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"rows outside the scope": sum(outside.values()), **outside},
    )


@dg.asset_check(
    asset=EMBEDDINGS,
    required_resource_keys=_KEYS,
    description="Every document that this run regenerated has a vector of its present text.",
)
def embeddings_are_current(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    gateways: RunGateways = context.resources.gateways
    with gateways.ledger.read("check") as tx:
        missing = checks.documents_without_current_embedding(tx, context.run.run_id, gateways.embedder.name)
    return dg.AssetCheckResult(
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"documents without a current vector": len(missing), "first of them": ", ".join(missing[:10])},
    )
