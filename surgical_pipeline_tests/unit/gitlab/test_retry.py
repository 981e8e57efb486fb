import asyncio
from collections.abc import Awaitable, Callable

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab.errors import ForbiddenError, GitLabError, RateLimitedError, ServerError
from surgical_pipeline.gitlab.retry import RetryPolicy, with_retries


def failing(*errors: GitLabError) -> Callable[[], Awaitable[str]]:
    left = list(errors)

    async def attempt() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return attempt


def run(attempt: Callable[[], Awaitable[str]], policy: RetryPolicy, *, seconds: float = 10) -> tuple[str, int]:
    retries = 0

    def count() -> None:
        nonlocal retries
        retries += 1

    deadline = Deadline.after(seconds, lambda: 0.0)
    return asyncio.run(with_retries(attempt, policy, deadline=deadline, on_retry=count)), retries


AT_ONCE = RetryPolicy(base_seconds=0.0)
DOWN = ServerError("down", transient=True)


def test_the_backoff_doubles_to_its_cap_and_is_wholly_jittered() -> None:
    longest = RetryPolicy(base_seconds=0.5, cap_seconds=8.0, uniform=lambda: 1.0)
    assert [longest.delay(failures) for failures in (1, 2, 3, 4, 5, 6, 1000)] == [0.5, 1, 2, 4, 8, 8, 8]
    assert RetryPolicy(uniform=lambda: 0.0).delay(3) == 0
    assert all(0 <= RetryPolicy().delay(2) <= 1 for _ in range(100))


def test_a_transient_error_is_retried_until_it_passes() -> None:
    assert run(failing(DOWN, DOWN, DOWN), AT_ONCE) == ("done", 3)


def test_the_last_attempts_error_is_raised() -> None:
    with pytest.raises(ServerError, match="the fourth"):
        run(failing(DOWN, DOWN, DOWN, ServerError("the fourth", transient=True)), AT_ONCE)


def test_a_lasting_error_is_raised_at_once() -> None:
    attempt = failing(ForbiddenError("no"))
    with pytest.raises(ForbiddenError):
        run(attempt, AT_ONCE)
    assert asyncio.run(_value(attempt)) == "done"


def test_a_wait_that_does_not_fit_the_budget_is_told_instead() -> None:
    limited = RateLimitedError("slow down", transient=True, retry_after_seconds=10)
    with pytest.raises(RateLimitedError):
        run(failing(limited), AT_ONCE, seconds=10)
    maintenance = ServerError("maintenance", transient=True, retry_after_seconds=60)
    with pytest.raises(ServerError, match="maintenance"):
        run(failing(maintenance), AT_ONCE, seconds=10)


def test_refusals_that_name_their_end_do_not_use_up_the_attempts() -> None:
    limited = RateLimitedError("slow down", transient=True, retry_after_seconds=0.0)
    policy = RetryPolicy(max_attempts=2, max_rate_limit_waits=3, base_seconds=0.0)
    assert run(failing(limited, limited, limited, DOWN), policy) == ("done", 4)
    with pytest.raises(RateLimitedError):
        run(failing(*[limited] * 4), policy)


async def _value(attempt: Callable[[], Awaitable[str]]) -> str:
    return await attempt()
