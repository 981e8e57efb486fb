from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityReport, SyncResult
from surgical_pipeline.domain.retry import plan_retry
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline_tests.unit.results import sync_result


def failure(code: FailureCode, dependent: str | None = None) -> Failure:
    return Failure(code=code, message=f"it was {code}", stage="dependents", dependent=dependent)


def outcome(iid: int, kind: EntityType = EntityType.ISSUE, **what: object) -> EntityOutcome:
    return EntityOutcome.model_validate({"entity_type": kind, "iid": iid, **what})


def result(*outcomes: EntityOutcome) -> SyncResult:
    return sync_result(entity_outcomes=tuple(EntityReport.of(one, "acme/rocket") for one in outcomes))


def test_only_what_failed_and_is_retryable_is_tried_again() -> None:
    plan = plan_retry(
        result(
            outcome(1, ingested=True),
            outcome(2, failure=failure(FailureCode.TIMEOUT)),
            outcome(3, failure=failure(FailureCode.NOT_FOUND)),
            outcome(
                4, EntityType.MERGE_REQUEST, dependent_failures=(failure(FailureCode.SERVER_ERROR, "commits"),)
            ),
        )
    )
    assert str(plan.scope) == "acme/rocket#2!4"
    assert [(one.entity, one.code) for one in plan.left_alone] == [
        ("acme/rocket#1", None),
        ("acme/rocket#3", FailureCode.NOT_FOUND),
    ]
    assert FailureCode.NOT_FOUND.advice in plan.left_alone[1].reason


def test_one_retryable_dependent_is_enough_and_the_entitys_own_failure_decides_before_it() -> None:
    mixed = (failure(FailureCode.FORBIDDEN, "commits"), failure(FailureCode.TIMEOUT, "discussions"))
    assert str(plan_retry(result(outcome(1, dependent_failures=mixed))).scope) == "acme/rocket#1"
    dead = outcome(1, failure=failure(FailureCode.FORBIDDEN), dependent_failures=mixed)
    assert plan_retry(result(dead)).scope is None


def test_a_run_without_anything_retryable_has_no_scope() -> None:
    plan = plan_retry(result(outcome(1, ingested=True), outcome(2, failure=failure(FailureCode.NOT_FOUND))))
    assert plan.scope is None
    assert len(plan.left_alone) == 2
    assert plan_retry(result()).scope is None
