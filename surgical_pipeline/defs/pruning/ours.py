"""What of Dagster's storage is ours to prune: runs of our jobs, logs of our sensors' and schedules' ticks.

Somebody else's jobs may share it. `integration/defs/pruning/test_ours.py` compares these with the definitions.
"""

import dagster as dg

from surgical_pipeline.defs.backlog import JOB_NAME as BACKLOG_JOB
from surgical_pipeline.defs.dagster_runs import BACKFILL_JOB, SYNC_JOB
from surgical_pipeline.defs.plan_backfill import JOB_NAME as PLAN_JOB
from surgical_pipeline.defs.publishing import PUBLISH_JOB, published
from surgical_pipeline.defs.report import report, report_job
from surgical_pipeline.defs.sensors.requests import CHANGES, WEBHOOKS
from surgical_pipeline.defs.sync.asset import surgical_sync

PRUNE = "prune"
"""The job of the schedule, and the schedule."""
OTHER_JOBS = frozenset({BACKLOG_JOB, PLAN_JOB, PRUNE, PUBLISH_JOB, report_job.name})
"""Those whose runs are not in the ledger."""
OUR_JOBS = OTHER_JOBS | {SYNC_JOB, BACKFILL_JOB}
ASSET_KEYS = frozenset(surgical_sync.keys | published.keys | report.keys)
INSTIGATORS = frozenset({"mirror", WEBHOOKS, CHANGES, "publish", "sweep", "report", PRUNE})


def is_ours(run: dg.DagsterRun) -> bool:
    """Also one that was asked for on the assets' pages, and so of no job of ours: if it has no other assets."""
    if run.job_name in OUR_JOBS:
        return True
    chosen = run.asset_selection or ()
    return len(chosen) > 0 and ASSET_KEYS.issuperset(chosen)
