"""The job `plan_backfill`, the launchpad's door to the planner: it plans and launches, and the runs follow."""

from typing import Any

import dagster as dg
from pydantic import Field

from surgical_pipeline.defs.backfills import launch, plan
from surgical_pipeline.defs.dagster_internals import RemoteRepositoryOrigin
from surgical_pipeline.defs.dagster_words import as_cause, as_dagster_failure
from surgical_pipeline.defs.handing_on import HANDING_ON, NOTHING
from surgical_pipeline.domain.backfill import (
    DEFAULT_CHUNK,
    MAX_CHUNK,
    BackfillError,
    BackfillPlan,
    Wish,
    named_scope,
)
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.moments import moment_of
from surgical_pipeline.domain.scope import Scope, ScopeError
from surgical_pipeline.domain.words import counted
from surgical_pipeline.settings import Settings, SettingsError

JOB_NAME = "plan_backfill"
PLANNED_TAG = "surgical/planned_backfill"
"""On the run of this job: the backfill that it launched. Dagster's own tag would make it one of its runs."""
_SHOWN_CHUNKS = 20


class PlanConfig(dg.Config):
    """What to backfill: issues and merge requests by their IIDs, or all of the project, in one or more runs."""

    project: str = Field(description="Path of the GitLab project, such as group/project, or its numeric id.")
    issues: str = Field(default="", description="IIDs of issues, such as 1-500,733.")
    merge_requests: str = Field(default="", description="IIDs of merge requests, such as 1-200.")
    all: bool = Field(default=False, description="All issues and merge requests of the project that GitLab lists.")
    updated_after: str = Field(
        default="",
        description="Of these, only what changed at this time or later: 2026-01-31 or 2026-01-31T08:00:00Z.",
    )
    only_changed: bool = Field(
        default=False,
        description="Fetch no dependents of issues and merge requests that are as the ledger has them.",
    )
    chunk: int = Field(
        default=DEFAULT_CHUNK,
        ge=1,
        le=MAX_CHUNK,
        description=f"Issues and merge requests of one run at most, 1 to {MAX_CHUNK}.",
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


@dg.op(out=NOTHING)
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
    context.instance.add_run_tags(context.run_id, {PLANNED_TAG: launched.backfill_id})
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


def _repository(run: dg.DagsterRun) -> RemoteRepositoryOrigin | None:
    """Where Dagster found this job it finds the other one, too. None: the run is of this process alone."""
    return run.remote_job_origin.repository_origin if run.remote_job_origin else None


@dg.job(
    name=JOB_NAME,
    description="Plans a backfill and launches it: many issues and merge requests of a project, or all of them, "
    "in runs of `surgical_backfill_job`. Its run links to the backfill.",
    resource_defs=HANDING_ON,
    executor_def=dg.in_process_executor,
)
def plan_backfill() -> None:
    plan_and_launch()
