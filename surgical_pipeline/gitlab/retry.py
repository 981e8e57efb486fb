"""The one retry policy: what is repeated, how often, and after what wait.

Which failures are transient is decided where they are made (``GitLabError.transient``): 408, 429, 5xx, transport
errors, and answers that broke off or are no JSON. Only GET requests are sent, so repeating one is always safe.
"""

import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab.errors import GitLabError, RateLimitedError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: before attempt n+1 a random part of ``base * 2^(n-1)``, capped.

    ``max_attempts``: requests for one page, the first included. ``max_rate_limit_waits``: how many additional
    429 waits are allowed; the deadline bounds them too. ``uniform``: returns a float in [0, 1).
    """

    max_attempts: int = 4
    max_rate_limit_waits: int = 8
    base_seconds: float = 0.5
    cap_seconds: float = 8.0
    uniform: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """Seconds to wait after so many failures (1 or more)."""
        return self.uniform() * min(self.cap_seconds, self.base_seconds * 2.0 ** min(failures - 1, 32))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try one request, if less than usual.

    ``attempts``: instead of the policy's. ``seconds``: the limit for one attempt; a slower one is not repeated,
    because the caller has a better option than asking the same again.
    """

    attempts: int | None = None
    seconds: float = math.inf


AS_USUAL = Patience()


async def with_retries(
    attempt: Callable[[], Awaitable[_T]],
    policy: RetryPolicy,
    *,
    deadline: Deadline,
    on_retry: Callable[[], None] = lambda: None,
) -> _T:
    """The result of the first attempt that succeeds.

    Raises:
        GitLabError: the last attempt's error: not transient, too many of them, or no room in the budget for the
            wait (GitLab's own ``Retry-After`` or the backoff), which is raised at once instead of waiting.
    """
    failures = rate_limits = 0
    while True:
        try:
            return await attempt()
        except GitLabError as error:
            if isinstance(error, RateLimitedError) and error.retry_after_seconds is not None:
                rate_limits += 1
                exhausted = rate_limits > policy.max_rate_limit_waits
            else:
                failures += 1
                exhausted = failures >= policy.max_attempts
            if exhausted or not error.transient:
                raise
            wait = max(error.retry_after_seconds or 0.0, policy.delay(failures + rate_limits))
            if wait >= deadline.remaining:
                raise
            _log.info("%s: %s; asking again in %.2f s", error.code, error.message, wait)
        on_retry()
        await anyio.sleep(wait)
