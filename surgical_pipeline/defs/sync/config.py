"""The one block of run config that people edit, and how it reaches the five ops."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent, choose_dependents
from surgical_pipeline.domain.lifecycle import STAGES
from surgical_pipeline.domain.limits import MAX_CHUNK
from surgical_pipeline.domain.scope import MAX_ENTITIES, MAX_IID, Scope, ScopeError
from surgical_pipeline.domain.scope_list import items_of, scope_of_items
from surgical_pipeline.settings import Settings, SettingsError

GRAPH = "surgical_sync"
"""The op under which the block of run config stands, in every job."""
ONLY_CHANGED = (
    "How: true fetches no dependents of issues and merge requests that are as the ledger has them. Default: false."
)
"""The description of that field, here and in `plan_backfill`."""
_BUDGETS = Budgets()


def _limit(name: str, what: str) -> Any:
    """A field of `Budgets`, with its default and its bounds in the description."""
    field = Budgets.model_fields[name]
    above, least, most = (
        next((getattr(one, kind) for one in field.metadata if hasattr(one, kind)), None)
        for kind in ("gt", "ge", "le")
    )
    low = f"{least:,} to" if least is not None else f"more than {above:,}, at most"
    return Field(default=field.default, description=f"Limit: {what}. Default: {field.default:,}; {low} {most:,}.")


class BudgetConfig(dg.Config):
    """What a run may take; whatever runs out is recorded with code TIMEOUT and the run goes on."""

    # Dagster shows fields in the order of their names, so a description begins with a field's group: What, How or
    # Limit. Nested groups would change the block that people and programs write.
    preflight_budget_seconds: float = _limit(
        "preflight_budget_seconds", "seconds for fetching all named issues and merge requests themselves"
    )
    entity_timeout_seconds: float = _limit(
        "entity_timeout_seconds",
        "seconds for the dependents (discussions, events, ...) of one issue or merge request",
    )
    dependents_budget_seconds: float = _limit(
        "dependents_budget_seconds", "seconds for the dependents of all of them together"
    )
    embed_budget_seconds: float = _limit(
        "embed_budget_seconds", "seconds for embedding the documents whose text changed"
    )
    max_requests_in_flight: int = _limit(
        "max_requests_in_flight", "requests to GitLab at once; lower it where GitLab answers 429"
    )
    dependents: list[str] = Field(
        default=[str(one) for one in CORE_DEPENDENTS],
        description=f"How: which dependents to fetch, none or more of {', '.join(Dependent)}. "
        f"Default: {', '.join(CORE_DEPENDENTS)}.",
    )
    only_changed: bool = Field(
        default=False,
        description=ONLY_CHANGED,
    )

    def budgets(self) -> Budgets:
        return Budgets(
            preflight_budget_seconds=self.preflight_budget_seconds,
            entity_timeout_seconds=self.entity_timeout_seconds,
            dependents_budget_seconds=self.dependents_budget_seconds,
            embed_budget_seconds=self.embed_budget_seconds,
            max_requests_in_flight=self.max_requests_in_flight,
        )

    def dependent_list(self) -> tuple[Dependent, ...]:
        """Each dependent once, in our order instead of the order as typed.

        Raises:
            ScopeError: one that does not exist.
        """
        return choose_dependents(self.dependents)


class SurgicalSyncConfig(BudgetConfig):
    """What: project with issue_iids, mr_iids or both; or scope. How: dependents, only_changed. Limits: the rest.

    A run of a partition (a backfill) takes what to sync from the partition key: name nothing of it here.
    """

    project: str = Field(
        default="",
        description="What: path of the GitLab project, such as group/project, or its numeric id. Together with "
        "issue_iids, mr_iids or both; or leave all three out and write scope. Default: empty.",
    )
    issue_iids: list[int] = Field(
        default=[],
        description="What: IIDs of issues, such as [12, 13]: the 12 of group/project#12. Default: none; each from "
        f"1 to {MAX_IID:,}, with mr_iids at most {MAX_ENTITIES:,} in all.",
    )
    mr_iids: list[int] = Field(
        default=[],
        description="What: IIDs of merge requests, such as [34]: the 34 of group/project!34. Default: none; each "
        f"from 1 to {MAX_IID:,}, with issue_iids at most {MAX_ENTITIES:,} in all.",
    )
    scope: str = Field(
        default="",
        description="What: instead of project, issue_iids and mr_iids, as text: group/project#12+20-25!34, "
        "addresses from the browser, or several of them with blanks or line breaks between; all of one project. "
        f"Default: empty; 1 to {MAX_ENTITIES:,} issues and merge requests.",
    )

    def asked(self) -> Scope | None:
        """The scope named here, in either way; None if nothing is named.

        Raises:
            ScopeError: something is named that cannot be a scope, or both ways are used.
            SettingsError: it has an address, and no GitLab is configured.
        """
        named = self.project or self.issue_iids or self.mr_iids
        if self.scope.strip():
            if named:
                raise ScopeError("both scope and project, issue_iids or mr_iids are given: leave one of them out")
            items = list(items_of(self.scope, "scope"))
            with_address = any(item.is_address for item in items)
            return scope_of_items(items, gitlab_url=Settings.from_environment().gitlab_url if with_address else "")
        if not named:
            return None
        return Scope.of(self.project, issue_iids=self.issue_iids, mr_iids=self.mr_iids)


class StageConfig(BudgetConfig):
    """What each op gets. ``scope``: canonical text; empty where the partition key brings it."""

    scope: str

    def resolve_scope(self, partition_key: str | None) -> Scope:
        """The run's scope, from config or partition key.

        Raises:
            ScopeError: neither or both are given, or the partition key is not a scope.
        """
        if partition_key is None:
            if not self.scope:
                raise ScopeError(
                    "the scope is empty: set project and issue_iids or mr_iids, or scope, in the run config"
                )
            return Scope.parse(self.scope)
        if self.scope:
            raise ScopeError(
                f"the partition {partition_key!r} and the config's scope {self.scope!r} are both given: "
                "clear project, issue_iids and mr_iids in the run config, or launch without a partition"
            )
        scope = Scope.parse(partition_key)
        if len(scope) > MAX_CHUNK:
            raise ScopeError(
                f"the partition {partition_key!r} names {len(scope)} entities; a partition is one run of at most "
                f"{MAX_CHUNK}: split it"
            )
        return scope


def scope_of_run(block: Mapping[str, Any], partition_key: str | None) -> Scope:
    """The scope of a run by its stored config and partition, as its ops will resolve it.

    Raises:
        ScopeError: there is none, or none that can be read.
    """
    try:
        scope = SurgicalSyncConfig(**block).asked()
    except (ValidationError, SettingsError) as error:
        raise ScopeError(str(error)) from error
    return StageConfig(scope=str(scope) if scope else "").resolve_scope(partition_key)


def block_of(
    scope: Scope | None, *, budgets: Budgets, dependents: Sequence[Dependent], only_changed: bool = False
) -> dict[str, Any]:
    """The block that a person would write in the launchpad. ``scope``: None if a partition key brings it."""
    named: dict[str, Any] = {}
    if scope is not None:
        named = {
            "project": scope.project,
            "issue_iids": list(scope.issue_iids),
            "mr_iids": list(scope.mr_iids),
        }
    return {
        "ops": {
            GRAPH: {
                "config": {
                    **named,
                    "dependents": [str(one) for one in dependents],
                    "only_changed": only_changed,
                    **budgets.model_dump(),
                }
            }
        }
    }


def example_config() -> dict[str, Any] | None:
    """What the launchpad is prefilled with where ``SURGICAL_EXAMPLE_SCOPE`` is set: a whole block, budgets too.

    As the run config's default, not its fields': a block that somebody writes inherits nothing from it.

    Raises:
        SettingsError: it is set to something that is no scope.
    """
    example = Settings.from_environment().example_scope
    if example is None:
        return None
    return block_of(example, budgets=_BUDGETS, dependents=CORE_DEPENDENTS)


@dg.config_mapping
def to_ops(val: SurgicalSyncConfig) -> dict[str, object]:
    """One block for people, the same for each of the five ops; an invalid block is refused here.

    Raises:
        DagsterInvalidConfigError: Dagster passes this one on as it is; it wraps any other in its own.
    """
    try:
        dependents = [str(one) for one in val.dependent_list()]
        budgets, scope = val.budgets(), val.asked()
    except (ScopeError, SettingsError, ValidationError) as error:
        raise dg.DagsterInvalidConfigError(  # type: ignore[no-untyped-call]
            f"surgical_sync: {error}", [], val.model_dump()
        ) from error
    config = {
        "scope": str(scope) if scope else "",
        "dependents": dependents,
        "only_changed": val.only_changed,
        **budgets.model_dump(),
    }
    return {str(stage): {"config": config} for stage in STAGES}
