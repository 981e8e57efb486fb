"""Which entities of a run are worth another try, and why the others are left alone."""

from pydantic import BaseModel, ConfigDict, Field

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.outcomes import SCHEMA_VERSION, EntityReport, SyncResult
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope


class LeftAlone(BaseModel):
    """An entity that another try would not change."""

    model_config = ConfigDict(frozen=True)

    entity: str = Field(description="The entity as people write it: group/project#12.")
    code: FailureCode | None = Field(description="Why it failed; null where it is up to date.")
    reason: str


class RetryPlan(BaseModel):
    """``scope``: what failed and may succeed later without anybody changing anything; None: nothing."""

    model_config = ConfigDict(frozen=True)

    scope: Scope | None
    left_alone: tuple[LeftAlone, ...]


class RetryResult(BaseModel):
    """The document that ``retry --json`` prints."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    parent_run_id: str
    scope: str | None = Field(description="What was tried again; null where nothing was.")
    left_alone: tuple[LeftAlone, ...]
    result: SyncResult | None = Field(description="The new run; null where nothing was tried again.")


def plan_retry(result: SyncResult) -> RetryPlan:
    """The plan for a run that has ended."""
    again: list[EntityKey] = []
    left_alone: list[LeftAlone] = []
    for one in result.entity_outcomes:
        if _worth_another_try(one):
            again.append(EntityKey(one.entity_type, one.iid))
        else:
            left_alone.append(_left_alone(one))
    if not again:
        return RetryPlan(scope=None, left_alone=tuple(left_alone))
    scope = Scope.of(
        result.project.path,
        issue_iids=[key.iid for key in again if key.entity_type is EntityType.ISSUE],
        mr_iids=[key.iid for key in again if key.entity_type is EntityType.MERGE_REQUEST],
    )
    return RetryPlan(scope=scope, left_alone=tuple(left_alone))


def _worth_another_try(one: EntityReport) -> bool:
    if one.failure is not None:
        return one.failure.retryable
    return any(failure.retryable for failure in one.dependent_failures)


def _left_alone(one: EntityReport) -> LeftAlone:
    failures = [*([one.failure] if one.failure else []), *one.dependent_failures]
    if not failures:
        return LeftAlone(entity=one.entity, code=None, reason="it is up to date")
    return LeftAlone(entity=one.entity, code=failures[0].code, reason=f"{failures[0].message}. {failures[0].hint}")
