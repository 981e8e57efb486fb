"""The schedule that looks at everything the ledger has of the watched projects, for what nothing announced."""

from collections.abc import Iterator, Sequence

import dagster as dg

from surgical_pipeline.defs.dagster_runs import SYNC_JOB, Origin
from surgical_pipeline.defs.sensors.requests import sync_request
from surgical_pipeline.domain.budgets import PATIENT
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.ledger.known import KnownProject, known_entities, known_projects
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import Settings

RUN_SIZE = 1000
"""Entities per run: a run costs seconds of its own, and unchanged ones a hundredth of a request each."""
_LOCK_TIMEOUT_SECONDS = 30.0
"""Dagster gives an evaluation 60 s."""
_NO_PROJECTS = "SURGICAL_PROJECTS names no project: there is nothing to sweep."
_NOTHING_KNOWN = "The ledger has nothing of the watched projects yet."


@dg.schedule(
    name="sweep",
    job_name=SYNC_JOB,
    cron_schedule="30 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Looks at all that the ledger has of the watched projects, and syncs what nothing announced: what "
    "changed, vanished or failed.",
)
def sweep() -> list[dg.RunRequest] | dg.SkipReason:
    settings = Settings.from_environment()
    watches = settings.watches
    if not watches:
        return dg.SkipReason(_NO_PROJECTS)
    ledger = open_ledger(settings, wait_at_most_seconds=_LOCK_TIMEOUT_SECONDS)
    return requests_of(ledger, watches, deep=settings.sweep_deep) or dg.SkipReason(_NOTHING_KNOWN)


def requests_of(ledger: Ledger, watches: Sequence[Watch], *, deep: bool) -> list[dg.RunRequest]:
    """The runs that look at all that the ledger has of these. ``deep``: at unchanged ones' dependents, too."""
    if not ledger.exists:
        return []
    with ledger.read("sweep") as tx:
        known = [
            (project, known_entities(tx, project.project_id))
            for project in known_projects(tx)
            if any(watch.covers(project.project_id, project.path) for watch in watches)
        ]
    return [
        _run_request(scope, project=project, only_changed=not deep)
        for project, keys in known
        for scope in scopes_of(project, keys)
    ]


def scopes_of(project: KnownProject, keys: Sequence[EntityKey]) -> Iterator[Scope]:
    """Scopes of at most ``RUN_SIZE``; by the project's id, since its path may be another's by now."""
    for start in range(0, len(keys), RUN_SIZE):
        part = keys[start : start + RUN_SIZE]
        yield Scope.of(
            str(project.project_id),
            issue_iids=(key.iid for key in part if key.entity_type is EntityType.ISSUE),
            mr_iids=(key.iid for key in part if key.entity_type is EntityType.MERGE_REQUEST),
        )


def _run_request(scope: Scope, *, project: KnownProject, only_changed: bool) -> dg.RunRequest:
    """Dagster takes the key together with the tick's time: a repeated evaluation asks for no run twice."""
    return sync_request(
        scope,
        origin=Origin.SWEEP,
        run_key=f"{project.project_id} {next(scope.keys())}",
        project=project.path,
        budgets=PATIENT,
        only_changed=only_changed,
    )
