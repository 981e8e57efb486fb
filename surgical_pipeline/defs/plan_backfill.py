"""The job `plan_backfill`, the launchpad's door to the planner: it plans and launches, and the runs follow."""

from typing import Any

import dagster as dg
from pydantic import Field

from surgical_pipeline.defs.backfills import launch, plan
from surgical_pipeline.defs.dagster_internals import RemoteRepositoryOrigin
from surgical_pipeline.defs.dagster_runs import project_tags
from surgical_pipeline.defs.dagster_words import as_cause, as_dagster_failure
from surgical_pipeline.defs.handing_on import HANDING_ON, NOTHING
from surgical_pipeline.defs.read_more import read_more
from surgical_pipeline.defs.sync.config import ONLY_CHANGED
from surgical_pipeline.domain.backfill import (
    BackfillError,
    BackfillPlan,
    Wish,
    named_scope,
)
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.limits import DEFAULT_CHUNK, MAX_CHUNK
from surgical_pipeline.domain.moments import moment_of
from surgical_pipeline.domain.scope import MAX_ENTITIES, Scope, ScopeError
from surgical_pipeline.domain.words import counted
from surgical_pipeline.settings import Settings, SettingsError

JOB_NAME = "plan_backfill"
PLANNED_TAG = "surgical/planned_backfill"
"""On the run of this job: the backfill that it launched. Dagster's own tag would make it one of its runs."""
_OP = "plan_and_launch"
_SHOWN_CHUNKS = 20


class PlanConfig(dg.Config):
    """What: project with issues, merge_requests or both, or with all; updated_after narrows it. How: the rest."""

    project: str = Field(
        description="What: path of the GitLab project, such as group/project, or its numeric id. Has no default."
    )
    issues: str = Field(
        default="",
        description="What: IIDs of issues, such as 1-500,733. Default: none; with those of merge_requests at most "
        f"{MAX_ENTITIES:,}.",
    )
    merge_requests: str = Field(
        default="",
        description="What: IIDs of merge requests, such as 1-200. Default: none; with those of issues at most "
        f"{MAX_ENTITIES:,}.",
    )
    all: bool = Field(
        default=False,
        description="What: true takes all issues and merge requests of the project that GitLab lists; issues and "
        "merge_requests stay empty then. Default: false.",
    )
    updated_after: str = Field(
        default="",
        description="What: of these, or alone of all, only what changed at this time or later: 2026-01-31 or "
        "2026-01-31T08:00:00Z. Default: whenever.",
    )
    only_changed: bool = Field(
        default=False,
        description=ONLY_CHANGED,
    )
    chunk: int = Field(
        default=DEFAULT_CHUNK,
        ge=1,
        le=MAX_CHUNK,
        description=f"How: issues and merge requests of one run. Default: {DEFAULT_CHUNK:,}; 1 to {MAX_CHUNK:,}.",
    )

    def wish(self) -> Wish:
        """What the planner is asked for.

        Raises:
            ScopeError: something cannot be read, or IIDs and ``all`` are both given, or neither.
        """
        if self.all and (self.issues or self.merge_requests):
            raise ScopeError("name issues and merge_requests, or set all; not both")
        try:
            updated_after = moment_of(self.updated_after) if self.updated_after else None
        except ValueError as error:
            raise ScopeError(f"updated_after {error}") from error
        whole = self.all or bool(updated_after and not (self.issues or self.merge_requests))
        scopes: tuple[Scope, ...] = ()
        if whole:
            Scope.of(self.project, issue_iids=[1])  # the project's rule
        else:
            scopes = (named_scope(self.project, issues=self.issues, merge_requests=self.merge_requests),)
        return Wish(
            scopes=scopes,
            projects=(self.project,) if whole else (),
            updated_after=updated_after,
            only_changed=self.only_changed,
            chunk=self.chunk,
        )


@dg.op(name=_OP, out=NOTHING)
def plan_and_launch(context: dg.OpExecutionContext, config: PlanConfig) -> None:
    """Ask GitLab what there is, cut it into chunks, and launch a run of `surgical_backfill_job` for each."""
    try:
        planned = plan(config.wish(), Settings.from_environment())
    except (ScopeError, BackfillError, SettingsError) as error:
        code = FailureCode.NOT_FOUND if isinstance(error, ScopeError) else error.code
        failure = Failure(code=code, message=str(error), stage="plan")
        raise as_dagster_failure(failure) from as_cause(error)
    context.log.info("%s", _sentence(planned))
    if not planned.chunks:
        context.add_output_metadata({"entities": 0})
        return
    launched = launch(context.instance, planned, repository=_repository(context.run))
    context.instance.add_run_tags(
        context.run_id, {PLANNED_TAG: launched.backfill_id, **project_tags(planned.projects)}
    )
    if launched.under_way:
        context.log.info("the same backfill is under way already: %s", launched.backfill_id)
    context.add_output_metadata(_metadata(planned, launched.backfill_id))


def _sentence(planned: BackfillPlan) -> str:
    return (
        f"{counted(planned.entities, 'entity', 'entities')} in {counted(len(planned.chunks), 'run', 'runs')}, "
        f"at most {planned.requests:,} requests; "
        f"planning took {planned.planning_requests:,}"
    )


def _metadata(planned: BackfillPlan, backfill_id: str) -> dict[str, Any]:
    return {
        "backfill": dg.MetadataValue.url(f"/runs/b/{backfill_id}"),
        "backfill id": backfill_id,
        "entities": planned.entities,
        "runs": len(planned.chunks),
        "requests at most": planned.requests,
        "requests of the planning": planned.planning_requests,
        "first chunks": "\n".join(planned.chunks[:_SHOWN_CHUNKS]),
    }


def example_plan() -> dict[str, Any] | None:
    """What the launchpad is prefilled with where ``SURGICAL_EXAMPLE_SCOPE`` is set.

    Raises:
        SettingsError: it is set to something that is no scope.
    """
    example = Settings.from_environment().example_scope
    if example is None:
        return None
    return {
        "ops": {
            _OP: {
                "config": {
                    "project": example.project,
                    "issues": _ranges(example.project, issue_iids=example.issue_iids),
                    "merge_requests": _ranges(example.project, mr_iids=example.mr_iids),
                }
            }
        }
    }


def _ranges(project: str, **iids: tuple[int, ...]) -> str:
    """IIDs of one kind as people write them, such as ``12-14+20``."""
    return str(Scope.of(project, **iids))[len(project) + 1 :] if any(iids.values()) else ""


def _repository(run: dg.DagsterRun) -> RemoteRepositoryOrigin | None:
    """Where Dagster found this job it finds the other one, too. None: the run is of this process alone."""
    return run.remote_job_origin.repository_origin if run.remote_job_origin else None


@dg.job(
    name=JOB_NAME,
    description="Plans a backfill and launches it: many issues and merge requests of a project, or all of them, "
    "in runs of `surgical_backfill_job`. Its run links to the backfill.",
    config=example_plan(),  # type: ignore[arg-type]  # None is its default
    metadata=read_more("docs/backfills.md"),
    resource_defs=HANDING_ON,
    executor_def=dg.in_process_executor,
)
def plan_backfill() -> None:
    plan_and_launch()
