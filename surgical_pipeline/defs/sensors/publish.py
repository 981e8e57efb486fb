"""The sensor that publishes when the ledger has changed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from surgical_pipeline.dataset.errors import DatasetError
from surgical_pipeline.dataset.manifest import Manifest, read_manifest
from surgical_pipeline.dataset.publish_settings import ON_REQUEST, PublishSettings
from surgical_pipeline.dataset.versions import current_version
from surgical_pipeline.defs.dagster_runs import BACKGROUND, NOT_FINISHED
from surgical_pipeline.defs.publishing import PUBLISH_JOB
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.ledger.standing import read_standing
from surgical_pipeline.settings import Settings

TICK_SECONDS = 30
_LOCK_TIMEOUT_SECONDS = 30.0
"""Dagster gives a tick 60 s."""


@dg.sensor(
    name="publish",
    job_name=PUBLISH_JOB,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING
    if Settings.from_environment().text("SURGICAL_PUBLISH")
    else dg.DefaultSensorStatus.STOPPED,
    description="Publishes when the ledger has changed, at most every SURGICAL_PUBLISH_SECONDS.",
)
def publish(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """The cursor is when it last asked for a publish: one that fails is not asked for at every tick."""
    settings, now = Settings.from_environment(), datetime.now(UTC)
    wanted = PublishSettings.of(settings)
    folder = wanted.folder
    if folder is None:
        return dg.SkipReason("SURGICAL_PUBLISH is not set: there is nowhere to publish.")
    found = _published(folder)
    asked = datetime.fromisoformat(context.cursor) if context.cursor else None
    made = found.made_at if found and not differs(found, wanted) else None
    soon = due_again(made, asked, every=timedelta(seconds=wanted.every_seconds))
    if soon is not None and soon > now:
        return dg.SkipReason(f"The last publish is recent: the next is at {soon:%H:%M:%S} UTC at the earliest.")
    if context.instance.get_run_records(dg.RunsFilter(job_name=PUBLISH_JOB, statuses=NOT_FINISHED), limit=1):
        return dg.SkipReason("A publish is under way.")
    ledger = open_ledger(settings, wait_at_most_seconds=_LOCK_TIMEOUT_SECONDS)
    if not ledger.exists:
        return dg.SkipReason("The ledger has nothing yet.")
    with ledger.read("publish sensor") as tx:
        state = read_standing(tx).text
    if found is not None and made is not None and found.ledger_state == state:
        return dg.SkipReason(f"The ledger is as version {found.version} has it.")
    return dg.SensorResult([dg.RunRequest(tags=BACKGROUND)], cursor=now.isoformat())


def due_again(made: datetime | None, asked: datetime | None, *, every: timedelta) -> datetime | None:
    """When the next publish may be at the earliest; None: at once."""
    last = max((moment for moment in (made, asked) if moment), default=None)
    return last + every if last else None


def differs(found: Manifest, wanted: PublishSettings) -> bool:
    """Whether what is published is not what the settings ask for: some may see it who should not."""
    with_them = {name for name in found.tables if name in ON_REQUEST}
    return found.confidential != wanted.confidential or with_them != wanted.also


def _published(folder: Path) -> Manifest | None:
    version = current_version(folder)
    try:
        return read_manifest(version) if version else None
    except (FileNotFoundError, DatasetError):
        return None
