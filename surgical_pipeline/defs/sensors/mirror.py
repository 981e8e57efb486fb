"""The sensor that runs the mirror while Dagster's daemon is up."""

from datetime import datetime

import dagster as dg

from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.domain.foreign_text import on_one_line
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings

TICK_SECONDS = 5
_LOCK_TIMEOUT_SECONDS = 30.0
"""Dagster gives a tick 60 s; the next one is soon enough."""


@dg.sensor(
    name="mirror",
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the ledger and Dagster in step: queued runs, endings, and runs whose process is gone.",
)
def mirror(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    ledger = open_ledger(Settings.from_environment(), wait_at_most_seconds=_LOCK_TIMEOUT_SECONDS)
    look = Mirror(context.instance, ledger)
    since = datetime.fromisoformat(context.cursor) if context.cursor else None
    context.update_cursor(look.reconcile(since).isoformat())
    told = on_one_line("; ".join(f"{change.run_id[:8]} {change.what}: {change.detail}" for change in look.changes))
    return dg.SkipReason(told or "The ledger and Dagster agree.")
