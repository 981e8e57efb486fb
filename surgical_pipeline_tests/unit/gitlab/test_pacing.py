"""Whose request begins when, where few are left and requests are spread."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.gitlab.pacing import (
    HASTE,
    LONGEST_DEFERENCE_SECONDS,
    RETURN_SECONDS,
    Pacing,
    Priority,
)

NOW = 1000.0
GAP = 0.8
PEOPLE, SENSORS, BACKGROUND = Priority
LONG = Pacing().spread(remaining=1_000, until=NOW + 1_000 * GAP, now=NOW)

requests = st.lists(st.tuples(st.sampled_from(Priority), st.floats(0, 3)), max_size=60)
"""Of which priority, and how long after the one before."""


def reserved(pacing: Pacing, priority: Priority, *, count: int, now: float = NOW) -> tuple[Pacing, list[float]]:
    """Seconds from now to the beginning of each, to the microsecond."""
    starts = []
    for _ in range(count):
        pacing, start = pacing.reserved(now, priority)
        starts.append(round(start - now, 6))
    return pacing, starts


def places(*gaps: float) -> list[float]:
    """So many gaps from now."""
    return [round(gap * GAP, 6) for gap in gaps]


@pytest.mark.parametrize("priority", Priority)
def test_alone_everybody_keeps_the_gap(priority: Priority) -> None:
    assert reserved(LONG, priority, count=4)[1] == places(0, 1, 2, 3)


def test_a_person_does_not_wait_for_backfills_and_follows_closely() -> None:
    pacing, _ = reserved(LONG, BACKGROUND, count=8)
    _, starts = reserved(pacing, PEOPLE, count=4)
    assert starts == places(0, 1 / HASTE, 2 / HASTE, 3 / HASTE)


def test_what_a_person_takes_is_missing_to_backfills() -> None:
    pacing, _ = reserved(LONG, BACKGROUND, count=8)
    pacing, _ = reserved(pacing, PEOPLE, count=4)
    assert reserved(pacing, BACKGROUND, count=2)[1] == places(12, 13)


def test_sensors_come_after_people_and_before_backfills() -> None:
    pacing, _ = reserved(LONG, BACKGROUND, count=8)
    pacing, _ = reserved(pacing, PEOPLE, count=4)
    pacing, starts = reserved(pacing, SENSORS, count=2)
    assert starts == places(4 / HASTE, 5 / HASTE)
    assert reserved(pacing, BACKGROUND, count=1)[1] == places(14)
    assert reserved(pacing, PEOPLE, count=1)[1] == places(4 / HASTE)


def test_nobody_follows_more_closely_than_after_a_pause() -> None:
    pacing = Pacing().paused(NOW)
    pacing, _ = reserved(pacing, BACKGROUND, count=8)
    assert reserved(pacing, PEOPLE, count=3)[1] == [0, RETURN_SECONDS, 2 * RETURN_SECONDS]


def test_after_a_pause_people_are_the_first_too() -> None:
    pacing, _ = reserved(LONG, BACKGROUND, count=8)
    pacing = pacing.paused(NOW + 10)
    pacing, _ = reserved(pacing, BACKGROUND, count=8)
    assert reserved(pacing, PEOPLE, count=1)[1] == [10]


def test_whatever_people_want_backfills_get_their_turn() -> None:
    pacing, _ = reserved(LONG, BACKGROUND, count=1)
    last = 0.0
    for _ in range(500):
        pacing, last = pacing.reserved(NOW)
    _, start = pacing.reserved(NOW, BACKGROUND)
    assert start <= last + GAP + LONGEST_DEFERENCE_SECONDS
    assert last > NOW + 400 * GAP, "once backfills have given way for so long, people keep the gap"


def test_who_died_while_it_waited_keeps_nobody_waiting() -> None:
    """Its places pass; nothing else is left of it."""
    pacing, _ = reserved(LONG, PEOPLE, count=5)
    later = NOW + 5 * GAP
    assert reserved(pacing, BACKGROUND, count=2, now=later)[1] == places(0, 1)


@given(requests)
def test_a_request_begins_neither_in_the_past_nor_behind_the_window(asked: list[tuple[Priority, float]]) -> None:
    pacing, now, until = Pacing().spread(remaining=30, until=NOW + 30, now=NOW), NOW, NOW + 30
    for priority, pause in asked:
        now += pause
        pacing, start = pacing.reserved(now, priority)
        assert now <= start <= max(now, until)


@given(requests)
def test_the_higher_the_priority_the_earlier_the_place(asked: list[tuple[Priority, float]]) -> None:
    pacing, now = LONG, NOW
    for priority, pause in asked:
        now += pause
        pacing, _ = pacing.reserved(now, priority)
        assert all(earlier <= later for earlier, later in pairwise(pacing.next_starts))


@given(requests)
def test_what_others_want_never_makes_a_person_wait_longer(asked: list[tuple[Priority, float]]) -> None:
    beside = alone = LONG
    now = NOW
    for priority, pause in asked:
        now += pause
        beside, start = beside.reserved(now, priority)
        if priority is PEOPLE:
            alone, own = alone.reserved(now, priority)
            assert start <= own


@given(requests)
def test_each_request_costs_those_behind_it_a_whole_gap(asked: list[tuple[Priority, float]]) -> None:
    """So haste spends nothing that is not there, until the lowest have given way for as long as they do."""
    pacing, now = LONG, NOW
    for priority, pause in asked:
        now += pause
        before, (pacing, start) = pacing, pacing.reserved(now, priority)
        place = before.next_starts[BACKGROUND]
        if place <= start + LONGEST_DEFERENCE_SECONDS:
            assert pacing.next_starts[BACKGROUND] >= max(place, start) + GAP - 1e-6
        assert pacing.next_starts[BACKGROUND] >= place
