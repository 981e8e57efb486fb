"""The schedule that looks at everything the ledger has of the watched projects, for what nothing announced."""

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

from surgical_pipeline.defs.dagster_runs import SYNC_JOB, TRIGGER_TAG
from surgical_pipeline.defs.sync.config import block_of
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.lifecycle import Trigger
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.ledger.known import KnownProject, known_entities, known_projects
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings

RUN_SIZE = 1000
"""Entities per run: a run costs seconds of its own, and unchanged ones a hundredth of a request each."""
PATIENT = Budgets(
    preflight_budget_seconds=600,
    entity_timeout_seconds=120,
    dependents_budget_seconds=3600,
    embed_budget_seconds=3600,
)
"""Nobody waits for a sweep, and a deep one has thousands of requests per run."""
_LOCK_TIMEOUT_SECONDS = 30.0
"""Dagster gives an evaluation 60 s."""
_NO_PROJECTS = "SURGICAL_PROJECTS names no project: there is nothing to sweep."
_NOTHING_KNOWN = "The ledger has nothing of the watched projects yet."
_BACKGROUND = {"surgical/background": "sweep", "dagster/priority": "-10"}
_TAG_LENGTH = 200


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
    if not settings.projects:
        return dg.SkipReason(_NO_PROJECTS)
    ledger = open_ledger(settings, wait_at_most_seconds=_LOCK_TIMEOUT_SECONDS)
    if not ledger.exists:
        return dg.SkipReason(_NOTHING_KNOWN)
    with ledger.read("sweep") as tx:
        known = [
            (project, known_entities(tx, project.project_id))
            for project in known_projects(tx)
            if is_watched(project, settings.projects)
        ]
    requests = [
        _run_request(scope, project=project, only_changed=not settings.sweep_deep)
        for project, keys in known
        for scope in scopes_of(project, keys)
    ]
    return requests or dg.SkipReason(_NOTHING_KNOWN)


def is_watched(project: KnownProject, watched: Iterable[str]) -> bool:
    """Whether ``SURGICAL_PROJECTS`` names it, by path, id or group; a group's subgroups count."""
    path, number = project.path.lower(), str(project.project_id)
    names = [name.lower() for name in watched]
    groups = tuple(name.removesuffix("*") for name in names if name.endswith("/*"))
    return path in names or number in names or path.startswith(groups)


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
    text = str(scope)
    return dg.RunRequest(
        run_key=f"{project.project_id} {next(scope.keys())}",
        run_config=block_of(scope, budgets=PATIENT, dependents=CORE_DEPENDENTS, only_changed=only_changed),
        tags={
            TRIGGER_TAG: str(Trigger.SENSOR),
            "surgical/project": project.path,
            "surgical/scope": text if len(text) <= _TAG_LENGTH else f"{text[: _TAG_LENGTH - 1]}…",
            **_BACKGROUND,
        },
    )
