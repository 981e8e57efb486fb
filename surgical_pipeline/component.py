"""The type of a `defs.yaml`, for projects of `dg`: all of our definitions, and schedules of named scopes."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dagster as dg
from pydantic import Field, field_validator

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.dagster_runs import SYNC_JOB, TRIGGER_TAG, scope_tags
from surgical_pipeline.defs.sync.config import block_of
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.lifecycle import Trigger
from surgical_pipeline.domain.scope import Scope


class ScheduledSync(dg.Model, dg.Resolvable):
    """A sync of exactly these issues and merge requests, again and again; off until somebody switches it on."""

    name: str = Field(description="The schedule's name in Dagster.")
    cron: str = Field(description="When, such as 0 6 * * 1-5.")
    scope: str = Field(description="What, such as acme/rocket#12+20-25!34.")
    timezone: str = Field(default="UTC", description="Whose clock that is, such as Europe/Paris.")
    only_changed: bool = Field(
        default=False, description="Fetch no dependents of what is as the ledger has it already."
    )

    @field_validator("scope")
    @classmethod
    def _readable(cls, text: str) -> str:
        return str(Scope.parse(text))

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone is called {name!r}") from error
        return name

    @property
    def schedule(self) -> dg.ScheduleDefinition:
        scope = Scope.parse(self.scope)
        return dg.ScheduleDefinition(
            name=self.name,
            job_name=SYNC_JOB,
            cron_schedule=self.cron,
            execution_timezone=self.timezone,
            run_config=block_of(
                scope, budgets=Budgets(), dependents=CORE_DEPENDENTS, only_changed=self.only_changed
            ),
            tags={TRIGGER_TAG: str(Trigger.SENSOR), **scope_tags(scope)},
            description=f"Syncs {scope}.",
        )


class GitLabSync(dg.Component, dg.Model, dg.Resolvable):
    """Bring named GitLab issues and merge requests up to date in DuckDB; the environment says which GitLab."""

    schedules: Sequence[ScheduledSync] = Field(default=(), description="Scopes to sync at certain times.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """All of ours with these schedules."""
        del context
        return dg.Definitions.merge(defs, dg.Definitions(schedules=[one.schedule for one in self.schedules]))
