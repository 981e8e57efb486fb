from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from surgical_pipeline.domain.budgets import Budgets, Deadline


@dataclass
class FakeClock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_defaults_are_the_published_ones() -> None:
    budgets = Budgets()

    assert (budgets.entity_timeout_seconds, budgets.dependents_budget_seconds) == (20, 120)
    assert budgets.max_requests_in_flight == 16


@pytest.mark.parametrize("field", sorted(Budgets.model_fields))
@pytest.mark.parametrize("seconds", [0, -1, 1_000_000, float("nan"), float("inf"), "soon"])
def test_a_budget_that_is_no_sensible_time_is_refused(field: str, seconds: object) -> None:
    with pytest.raises(ValidationError):
        Budgets.model_validate({field: seconds})


@pytest.mark.parametrize("count", [1, 64])
def test_requests_in_flight_are_one_to_sixty_four(count: int) -> None:
    assert Budgets(max_requests_in_flight=count).max_requests_in_flight == count
    with pytest.raises(ValidationError):
        Budgets(max_requests_in_flight=count + (1 if count > 1 else -1))


def test_an_unknown_budget_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Budgets.model_validate({"entity_timeout": 3})


def test_a_deadline_passes_when_its_time_is_up() -> None:
    clock = FakeClock()
    deadline = Deadline.after(20, clock)

    assert (deadline.remaining, deadline.passed) == (20, False)
    clock.now += 19.5
    assert (deadline.remaining, deadline.passed) == (0.5, False)
    clock.now += 0.5
    assert (deadline.remaining, deadline.passed) == (0, True)


def test_what_remains_is_never_negative() -> None:
    clock = FakeClock()
    deadline = Deadline.after(1, clock)
    clock.now += 100

    assert deadline.remaining == 0


@given(stage=st.floats(0.1, 500), entity=st.floats(0.1, 500), waited=st.floats(0, 600))
def test_an_entity_never_outlives_its_stage(stage: float, entity: float, waited: float) -> None:
    clock = FakeClock()
    of_stage = Deadline.after(stage, clock)
    clock.now += waited
    of_entity = of_stage.within(entity)

    assert of_entity.at <= of_stage.at
    assert of_entity.remaining <= min(of_stage.remaining, entity) + 1e-9
