"""The sensor that polls: what changed in the watched projects is synced, whether a hook told of it or not."""

import dagster as dg

from surgical_pipeline.defs.dagster_runs import SYNC_JOB, Origin
from surgical_pipeline.defs.polling import Poll, Tick
from surgical_pipeline.defs.sensors.requests import CHANGES, sync_request
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings, SettingsError

TICK_SECONDS = 30
"""Two requests a tick for each project or group, and a row in Dagster. Hooks are for those who are in a hurry."""
_LOCK_TIMEOUT_SECONDS = 2.0
_NO_PROJECTS = "SURGICAL_PROJECTS names no project: set it to paths, ids or group/*, then restart Dagster."


def _status() -> dg.DefaultSensorStatus:
    """Wherever projects are named it runs; a wrong name shows as an error of its ticks."""
    try:
        named = bool(Settings.from_environment().watches)
    except SettingsError:
        named = True
    return dg.DefaultSensorStatus.RUNNING if named else dg.DefaultSensorStatus.STOPPED


@dg.sensor(
    name=CHANGES,
    job_name=SYNC_JOB,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=_status(),
    description="Looks every 30 s at what changed in the projects that SURGICAL_PROJECTS names, and syncs it.",
)
def gitlab_changes(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    settings = Settings.from_environment()
    if not settings.watches:
        return dg.SkipReason(_NO_PROJECTS)
    ledger = open_ledger(settings, wait_at_most_seconds=_LOCK_TIMEOUT_SECONDS)
    try:
        tick = Poll(settings, ledger).tick(context.cursor)
    except LedgerError as error:
        return dg.SkipReason(f"Nothing was asked for, and nothing is lost: {error}")
    for trouble in tick.report.troubles:
        context.log.warning(trouble)
    if not tick.scopes:
        return dg.SensorResult(skip_reason=str(tick.report), cursor=tick.cursor)
    context.log.info(str(tick.report))
    return dg.SensorResult(run_requests=requests_of(tick), cursor=tick.cursor)


def requests_of(tick: Tick) -> list[dg.RunRequest]:
    """The runs that a tick asks for. Their keys have its time: they are never used again."""
    return [
        sync_request(
            scope, origin=Origin.POLL, run_key=f"{CHANGES} {scope.project} {tick.now.isoformat()} {number}"
        )
        for number, scope in enumerate(tick.scopes)
    ]
