import pickle

import pytest
from pydantic import TypeAdapter

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.failures import EntityFailure, Failure, FailureCode, StageFailedError
from surgical_pipeline.domain.scope import EntityKey, EntityType

RETRYABLE = {
    "TIMEOUT",
    "RATE_LIMITED",
    "SERVER_ERROR",
    "NETWORK_ERROR",
    "LOCK_TIMEOUT",
    "EMBEDDER_ERROR",
    "LEDGER_ERROR",
    "WORKER_LOST",
    "CANCELLED",
}
FINAL = {
    "NOT_FOUND",
    "FORBIDDEN",
    "UNAUTHORIZED",
    "PROJECT_NOT_FOUND",
    "PROJECT_MISMATCH",
    "INVALID_PAYLOAD",
    "DOCUMENT_ERROR",
    "INTERNAL_ERROR",
}


def test_the_codes_are_the_published_ones() -> None:
    assert {code.value for code in FailureCode} == RETRYABLE | FINAL


@pytest.mark.parametrize("code", FailureCode)
def test_every_code_says_what_to_do_in_whole_sentences(code: FailureCode) -> None:
    assert code.advice.strip() == code.advice
    assert code.advice[0].isupper()
    assert code.advice.endswith(".")
    assert "\n" not in code.advice


def test_advice_on_limits_names_the_options_that_move_them() -> None:
    for name in Budgets.model_fields:
        advice = (
            FailureCode.RATE_LIMITED.advice if name == "max_requests_in_flight" else FailureCode.TIMEOUT.advice
        )
        assert name in advice


@pytest.mark.parametrize("code", FailureCode)
def test_every_code_has_a_retry_decision(code: FailureCode) -> None:
    assert code.retryable is (code in RETRYABLE)


@pytest.mark.parametrize("code", FailureCode)
def test_a_code_survives_its_text_and_a_pickle(code: FailureCode) -> None:
    assert TypeAdapter(FailureCode).validate_python(code.value) is code
    assert pickle.loads(pickle.dumps(code)) is code  # noqa: S301  our own bytes
    assert str(code) == code.value == code.name


def test_a_failure_is_retryable_as_its_code_says() -> None:
    assert Failure(code=FailureCode.TIMEOUT, message="20 s", stage="dependents").retryable
    assert not Failure(code=FailureCode.FORBIDDEN, message="no", stage="preflight").retryable


def test_a_failure_survives_json() -> None:
    failure = EntityFailure(
        entity_type=EntityType.ISSUE,
        iid=12,
        failure=Failure(code=FailureCode.TIMEOUT, message="x", stage="dependents", dependent="discussions"),
    )

    assert EntityFailure.model_validate_json(failure.model_dump_json()) == failure
    assert failure.key == EntityKey(EntityType.ISSUE, 12)


def test_a_failed_stage_says_code_and_message() -> None:
    failure = Failure(code=FailureCode.PROJECT_NOT_FOUND, message="no acme/rocket", stage="preflight")

    assert str(StageFailedError(failure)) == "PROJECT_NOT_FOUND: no acme/rocket"
    assert StageFailedError(failure).failure is failure
