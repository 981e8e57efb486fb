"""The one planner of backfills, behind the command, the launchpad and whoever resumes one.

It asks GitLab which projects and entities there are, cuts them into chunks, registers these as partitions and asks
Dagster for one backfill of `surgical_backfill_job`. Until the last step nothing has happened that a second call of
the planner would do twice, and the last step is one row.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from surgical_pipeline.defs.backfill_records import PARENT_TAG, list_backfills
from surgical_pipeline.defs.dagster_home import alone_in
from surgical_pipeline.defs.dagster_internals import (
    BulkActionStatus,
    LoadableTargetOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    PartitionBackfill,
    RemoteRepositoryOrigin,
    make_new_backfill_id,
    partition_set_snap_name_for_job_name,
)
from surgical_pipeline.defs.dagster_runs import BACKFILL_JOB, BACKGROUND, TRIGGER_TAG
from surgical_pipeline.defs.event_loop import run_async
from surgical_pipeline.defs.gateways import open_gitlab
from surgical_pipeline.defs.sensors.switches import MIRROR
from surgical_pipeline.defs.sync.backfill_job import SCOPES
from surgical_pipeline.defs.sync.config import block_of
from surgical_pipeline.domain.backfill import (
    LONGEST_PATH,
    BackfillError,
    BackfillPlan,
    Wish,
    chunks_of,
    plan_of,
)
from surgical_pipeline.domain.backfill_report import BackfillState
from surgical_pipeline.domain.budgets import PATIENT, Deadline, MonotonicClock
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.lifecycle import Trigger
from surgical_pipeline.domain.records import ProjectRecord
from surgical_pipeline.domain.scope import EntityKey, Scope
from surgical_pipeline.domain.words import counted
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.enumeration import list_keys
from surgical_pipeline.gitlab.errors import GitLabError
from surgical_pipeline.ledger.clock import Clock, utc_now
from surgical_pipeline.settings import Settings

PLANNING_SECONDS = 3600.0
_KEYS_AT_ONCE = 500
"""Keys that are registered in one statement: SQLite and PostgreSQL limit its parameters."""
_LOCATION = "surgical_pipeline.definitions"
_REPOSITORY = "__repository__"
_MAX_TITLE = 100
_LOOK_BACK = 50


def plan(wish: Wish, settings: Settings) -> BackfillPlan:
    """Ask GitLab what there is of what somebody wants, and cut it into chunks; nothing is launched.

    Projects are named as GitLab spells them now, so that the same entities have the same keys however they were
    asked for.

    Raises:
        SettingsError: GitLab's settings are missing or wrong.
        BackfillError: GitLab does not show a project, or cannot be asked.
    """
    return run_async(lambda: plan_with(open_gitlab(settings), wish))


async def plan_with(
    client: GitLabClient, wish: Wish, *, monotonic: MonotonicClock = time.monotonic
) -> BackfillPlan:
    """The same through a client that is not connected yet.

    Raises:
        BackfillError: as for `plan`.
    """
    deadline = Deadline.after(PLANNING_SECONDS, monotonic)
    try:
        return await _plan(client, wish, deadline)
    except GitLabError as error:
        raise BackfillError(f"{error.code}: {error.message}. {error.code.advice}", error.code) from error


async def _plan(unconnected: GitLabClient, wish: Wish, deadline: Deadline) -> BackfillPlan:
    async with unconnected as client:
        projects: dict[int, ProjectRecord] = {}
        named: dict[int, set[EntityKey]] = {}
        whole: set[int] = set()
        for scope in wish.scopes:
            project = await client.project(scope.project, deadline)
            projects[project.project_id] = project
            named.setdefault(project.project_id, set()).update(scope.keys())
        for name in wish.projects:
            project = await client.project(name, deadline)
            projects[project.project_id] = project
            whole.add(project.project_id)
        chunks: list[Scope] = []
        for project_id, project in projects.items():
            keys = None if project_id in whole else named[project_id]
            wanted = await _wanted(client, project, keys, wish=wish, deadline=deadline)
            chunks += chunks_of(_name_of(project), wanted, chunk=wish.chunk)
        return plan_of(
            chunks,
            dependents=CORE_DEPENDENTS,
            only_changed=wish.only_changed,
            planning_requests=client.stats.requests,
            per_minute=client.per_minute,
        )


async def _wanted(
    client: GitLabClient, project: ProjectRecord, keys: set[EntityKey] | None, *, wish: Wish, deadline: Deadline
) -> set[EntityKey]:
    """``keys``: those that are named; None: all of the project's."""
    if keys is not None and wish.updated_after is None:
        return keys
    listed = await list_keys(client, project, since=wish.updated_after, deadline=deadline)
    return listed if keys is None else listed & keys


def _name_of(project: ProjectRecord) -> str:
    return project.path if len(project.path) <= LONGEST_PATH else str(project.project_id)


@dataclass(frozen=True, slots=True)
class Launched:
    """``under_way``: it was launched before and has not ended, so that nothing was launched now."""

    backfill_id: str
    under_way: bool = False


def register(instance: dg.DagsterInstance, keys: Sequence[str]) -> None:
    """Make these chunks known as partitions; those that are known stay as they are."""
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        instance.add_dynamic_partitions(str(SCOPES.name), list(keys[start : start + _KEYS_AT_ONCE]))


def launch(
    instance: dg.DagsterInstance,
    plan: BackfillPlan,
    *,
    repository: RemoteRepositoryOrigin | None = None,
    tags: Mapping[str, str] | None = None,
    status: BulkActionStatus = BulkActionStatus.REQUESTED,
    clock: Clock = utc_now,
    alone: Callable[[], AbstractContextManager[None]] | None = None,
) -> Launched:
    """Ask Dagster for the backfill, unless the same one is under way.

    Args:
        instance: Dagster's.
        plan: with one chunk at least.
        repository: where the daemon finds our jobs; None: where it found them last.
        tags: more for the backfill and all its runs.
        status: one that is over keeps Dagster's daemon away: somebody else makes the runs.
        clock: gives the time of its making.
        alone: keeps all other launches away meanwhile; None: those of this machine, by a lock in DAGSTER_HOME.

    Raises:
        BackfillError: it resumes a backfill that somebody else has resumed since it was planned.
    """
    register(instance, plan.chunks)
    with alone() if alone else alone_in(Settings.from_environment().dagster_home):
        under_way = _under_way(instance, plan)
        if under_way is not None:
            return Launched(under_way, under_way=True)
        _must_resume_first(instance, tags or {})
        backfill = backfill_of(
            plan,
            repository=repository or our_repository(instance),
            tags=tags or {},
            status=status,
            made_at=clock(),
        )
        instance.add_backfill(backfill)
    return Launched(backfill.backfill_id)


def backfill_of(
    plan: BackfillPlan,
    *,
    repository: RemoteRepositoryOrigin,
    tags: Mapping[str, str],
    status: BulkActionStatus,
    made_at: datetime,
) -> PartitionBackfill:
    """The row that Dagster keeps of a backfill. Its tags and config go to each of its runs."""
    return PartitionBackfill(
        backfill_id=make_new_backfill_id(),
        status=status,
        from_failure=False,
        tags={TRIGGER_TAG: str(Trigger.BACKFILL), **BACKGROUND, **tags},
        backfill_timestamp=made_at.timestamp(),
        title=_title_of(plan),
        run_config=config_of(plan),
        partition_set_origin=repository.get_partition_set_origin(
            partition_set_snap_name_for_job_name(BACKFILL_JOB)
        ),
        partition_names=list(plan.chunks),
    )


def config_of(plan: BackfillPlan) -> dict[str, object]:
    """What each run gets beside its key."""
    return block_of(None, budgets=PATIENT, dependents=CORE_DEPENDENTS, only_changed=plan.only_changed)


def our_repository(instance: dg.DagsterInstance) -> RemoteRepositoryOrigin:
    """Where Dagster's daemon found our sensors last; until it has, what workspace.yaml says."""
    origins = [state.origin.repository_origin for state in instance.all_instigator_state() if state.name == MIRROR]
    if origins:
        return origins[-1]
    location = ManagedGrpcPythonEnvCodeLocationOrigin(
        loadable_target_origin=LoadableTargetOrigin(executable_path=sys.executable, module_name=_LOCATION),
        location_name=_LOCATION,
    )
    return RemoteRepositoryOrigin(location, _REPOSITORY)


def _under_way(instance: dg.DagsterInstance, plan: BackfillPlan) -> str | None:
    """The same backfill, if one of the latest is it and goes on: whoever asked for it may have died since."""
    config = config_of(plan)
    for one in list_backfills(instance, limit=_LOOK_BACK):
        same = tuple(one.keys) == plan.chunks and one.record.run_config == config
        if same and one.state is BackfillState.RUNNING:
            return one.id
    return None


def _must_resume_first(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> None:
    parent = tags.get(PARENT_TAG)
    others = [one.id for one in list_backfills(instance) if parent is not None and one.resumes == parent]
    if others:
        raise BackfillError(
            f"backfill {parent} was resumed meanwhile, by {others[0]}: resume it once more when that one is over, "
            "if anything is left then"
        )


def _title_of(plan: BackfillPlan) -> str:
    """Dagster refuses a title that is longer, or that has one of three signs, which no project's path has."""
    first, *others = plan.projects
    more = f" and {len(others)} more" if others else ""
    size = counted(plan.entities, "entity", "entities")
    title = f"{first}{more}: {size}"
    return title if len(title) <= _MAX_TITLE else size
