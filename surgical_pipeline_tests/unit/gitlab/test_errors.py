import pickle

import pytest

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.gitlab import errors
from surgical_pipeline.gitlab.errors import GitLabError, RateLimitedError


def all_errors() -> list[type[GitLabError]]:
    found, queue = [], [GitLabError]
    while queue:
        one = queue.pop()
        found.append(one)
        queue.extend(one.__subclasses__())
    return found


@pytest.mark.parametrize("kind", all_errors())
def test_an_error_becomes_a_failure_and_survives_a_pickle(kind: type[GitLabError]) -> None:
    error = kind("it broke", path="/api/v4/projects/7", status=500, retry_after_seconds=3.0)
    failure = error.as_failure("dependents", "discussions")
    assert (failure.code, failure.stage, failure.dependent) == (kind.code, "dependents", "discussions")
    assert failure.message == str(error) == "it broke (GET /api/v4/projects/7)"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
    assert type(again) is kind
    assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", all_errors())
def test_the_docstring_draws_the_tree(kind: type[GitLabError]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__
    if kind is not GitLabError:
        line = next(line for line in errors.__doc__.splitlines() if kind.__name__ in line)
        assert line.endswith(kind.code)


def test_an_error_without_a_path_is_just_its_reason() -> None:
    error = RateLimitedError("slow down")
    assert error.message == "slow down"
    assert error.as_failure("preflight").code is FailureCode.RATE_LIMITED
    assert error.as_failure("preflight").dependent is None
