"""What Dagster loads: `defs`, to be merged with others', and `code_location`, which is ours alone."""

from surgical_pipeline.defs.loading import loading

with loading():
    import dagster as dg

    from surgical_pipeline.defs.backlog import embed_backlog
    from surgical_pipeline.defs.gateways import RESOURCES
    from surgical_pipeline.defs.gitlab_dataset import READER, GitLabDataset
    from surgical_pipeline.defs.plan_backfill import plan_backfill
    from surgical_pipeline.defs.pruning.schedule import prune_job, prune_schedule
    from surgical_pipeline.defs.publishing import published, published_job
    from surgical_pipeline.defs.report import report, report_job, report_schedule
    from surgical_pipeline.defs.sensors.gitlab_changes import gitlab_changes
    from surgical_pipeline.defs.sensors.gitlab_webhooks import gitlab_webhooks
    from surgical_pipeline.defs.sensors.mirror import mirror
    from surgical_pipeline.defs.sensors.publish import publish
    from surgical_pipeline.defs.sensors.sweep import sweep
    from surgical_pipeline.defs.sync.asset import surgical_sync, surgical_sync_job
    from surgical_pipeline.defs.sync.backfill_job import surgical_backfill_job
    from surgical_pipeline.defs.sync.checks import ledger_checks
    from surgical_pipeline.domain.foreign_text import make_logs_visible

defs = dg.Definitions(
    assets=[surgical_sync, report, published],
    asset_checks=[ledger_checks],
    jobs=[
        surgical_sync_job,
        surgical_backfill_job,
        plan_backfill,
        embed_backlog,
        report_job,
        prune_job,
        published_job,
    ],
    sensors=[mirror, gitlab_webhooks, gitlab_changes, publish],
    schedules=[sweep, report_schedule, prune_schedule],
    resources={**RESOURCES, READER: GitLabDataset()},
)
"""All of ours. Our jobs have their executor; here is none, nor loggers, for these would be everybody's."""


@dg.definitions
def code_location() -> dg.Definitions:
    """What `dagster dev` and `dg` load of this module, for Dagster prefers such a function.

    A code location of our own also runs in one process what somebody materializes on an asset's page, and shows
    what Dagster logs of our errors as text without hidden signs.
    """
    make_logs_visible("dagster")
    return dg.Definitions.merge(defs, dg.Definitions(executor=dg.in_process_executor))
