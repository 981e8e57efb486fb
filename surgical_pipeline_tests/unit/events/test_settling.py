from datetime import datetime

import pytest

from surgical_pipeline.events.settling import PAUSES, Unsettled, are_due
from surgical_pipeline_tests.unit.events.inbox import at, issue


def unsettled(
    fetched: float, *, made: float | None = None, tries: int = 0, tried: float | None = None
) -> Unsettled:
    return Unsettled(
        project_id=7,
        project="acme/rocket",
        key=issue(1),
        updated_at=at(0),
        fetched_at=at(fetched),
        preparing_since=None if made is None else at(made),
        tries=tries,
        tried_at=None if tried is None else at(tried),
    )


@pytest.mark.parametrize(
    ("fetched", "due"), [(0, at(125)), (124.9, at(125)), (125, None), (9999, None), (-50, at(125))]
)
def test_what_was_fetched_within_125_seconds_of_its_change_is_due_after_these(
    fetched: float, due: datetime | None
) -> None:
    assert unsettled(fetched).due_at == due


@pytest.mark.parametrize(
    ("fetched", "due"), [(3, at(125)), (126, at(252)), (252, at(504)), (2000, at(4000)), (3600, None)]
)
def test_a_merge_request_that_is_being_prepared_is_due_with_growing_pauses_for_an_hour(
    fetched: float, due: datetime | None
) -> None:
    assert unsettled(fetched, made=0).due_at == due


@pytest.mark.parametrize("tries", range(len(PAUSES)))
def test_a_try_in_vain_is_followed_by_a_pause(tries: int) -> None:
    one = unsettled(3, tries=tries, tried=200)
    pause = PAUSES[tries].total_seconds()
    assert are_due([one], at(200 + pause - 1)) == []
    assert are_due([one], at(200 + pause)) == [one]


def test_what_was_tried_in_vain_too_often_is_left() -> None:
    assert are_due([unsettled(3, tries=len(PAUSES), tried=100)], at(99_999)) == []


def test_nothing_is_due_before_its_time() -> None:
    assert are_due([unsettled(3)], at(124)) == []
    assert are_due([unsettled(3)], at(125)) == [unsettled(3)]
