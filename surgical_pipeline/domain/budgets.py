"""What a run may take: seconds, and requests at once. The time is passed in as a monotonic clock reading."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from surgical_pipeline.domain import limits

MonotonicClock = Callable[[], float]


class Budgets(BaseModel):
    """What a run may take. Whatever does not fit into its time is recorded with code TIMEOUT and the run goes on.

    ``max_requests_in_flight``: to GitLab at once, of all that uses the same token in this process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preflight_budget_seconds: float = Field(default=limits.PREFLIGHT_BUDGET_SECONDS, gt=0, le=3600)
    entity_timeout_seconds: float = Field(default=limits.ENTITY_TIMEOUT_SECONDS, gt=0, le=3600)
    dependents_budget_seconds: float = Field(default=limits.DEPENDENTS_BUDGET_SECONDS, gt=0, le=86_400)
    embed_budget_seconds: float = Field(default=limits.EMBED_BUDGET_SECONDS, gt=0, le=86_400)
    max_requests_in_flight: int = Field(default=limits.MAX_REQUESTS_IN_FLIGHT, ge=1, le=64)


PATIENT = Budgets(
    preflight_budget_seconds=600,
    entity_timeout_seconds=120,
    dependents_budget_seconds=3600,
    embed_budget_seconds=3600,
)
"""Nobody waits for a run of a sweep or a backfill, and it may have thousands of requests."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock after which no new work starts."""

    at: float
    clock: MonotonicClock

    @classmethod
    def after(cls, seconds: float, clock: MonotonicClock) -> "Deadline":
        return cls(clock() + seconds, clock)

    @property
    def remaining(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at - self.clock())

    @property
    def passed(self) -> bool:
        return self.remaining <= 0

    def within(self, seconds: float) -> "Deadline":
        """The earlier of this deadline and one ``seconds`` from now."""
        return Deadline(min(self.at, self.clock() + seconds), self.clock)
