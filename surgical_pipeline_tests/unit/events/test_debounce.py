from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.events.debounce import BACKOFF, LONE, LONGEST, MAX_ASKS, is_ripe, to_ask
from surgical_pipeline_tests.unit.events.inbox import at, issue, waiting


@pytest.mark.parametrize(("age", "ripe"), [(0.9, False), (1.0, True), (500, True)])
def test_a_lone_event_waits_a_second(age: float, ripe: bool) -> None:
    assert is_ripe(waiting(), at(age)) is ripe


@pytest.mark.parametrize(
    ("received", "now", "ripe"),
    [
        ((0, 1), 2.9, False),
        ((0, 1), 3.0, True),
        ((0, 3, 6, 9), 9.9, False),
        ((0, 3, 6, 9), 10.0, True),
    ],
)
def test_a_burst_waits_for_two_quiet_seconds_or_until_it_is_ten_old(
    received: tuple[float, ...], now: float, ripe: bool
) -> None:
    assert is_ripe(waiting(received=received), at(now)) is ripe


def test_a_receiver_whose_clock_is_ahead_delays_nothing() -> None:
    assert is_ripe(waiting(received=(3600,)), at(0))
    assert is_ripe(waiting(received=(3600, 3601)), at(0))


@pytest.mark.parametrize("attempts", [1, 2, 3, 4])
def test_an_attempt_is_followed_by_a_longer_and_longer_pause(attempts: int) -> None:
    tried = waiting(received=(), attempts=attempts, attempted=0)
    pause = BACKOFF[attempts - 1]
    assert not is_ripe(tried, at(0) + pause - timedelta(seconds=1))
    assert is_ripe(tried, at(0) + pause)


def test_the_pauses_grow() -> None:
    assert sorted(BACKOFF) == list(BACKOFF)


def test_a_fresh_event_does_not_wait_for_the_pause_of_an_older_one() -> None:
    both = waiting(received=(5,), attempts=4, attempted=0)
    assert is_ripe(both, at(6))
    (ask,) = to_ask([both], now=at(6))
    assert (ask.first_seq, ask.upto, ask.events, ask.attempt) == (1, 2, 2, 5)


@given(st.lists(st.floats(0, 60), min_size=1, max_size=60), st.floats(0, 120))
def test_every_event_is_ripe_in_ten_seconds_and_none_at_once(received: list[float], now: float) -> None:
    seen = tuple(one for one in received if one <= now)
    if seen:
        ripe = is_ripe(waiting(received=seen), at(now))
        if at(now) >= at(min(seen)) + LONGEST:
            assert ripe
        if at(now) < at(max(seen)) + LONE and at(now) < at(min(seen)) + LONGEST:
            assert not ripe


def test_one_run_is_asked_for_each_project() -> None:
    asks = to_ask([waiting(1), waiting(2, project_id=8, first_seq=2), waiting(3, first_seq=3)], now=at(60))
    assert [(ask.project_id, ask.keys, ask.first_seq, ask.upto) for ask in asks] == [
        (7, (issue(1), issue(3)), 1, 3),
        (8, (issue(2),), 2, 2),
    ]


def test_a_run_names_its_project_by_id_and_its_events_by_the_last() -> None:
    (ask,) = to_ask([waiting(1, (0, 1, 2)), waiting(3, first_seq=4)], now=at(60))
    assert ask.scope == Scope.parse("7#1+3")
    assert str(ask) == "4 events, up to 4"
    (again,) = to_ask([waiting(1, (), attempts=2, attempted=0)], now=at(1000))
    assert str(again) == "1 event, attempt 3, up to 1"


def test_what_is_held_is_left_out() -> None:
    asks = to_ask([waiting(1), waiting(2, first_seq=2)], now=at(60), held={(7, issue(1)), (8, issue(2))})
    assert [ask.keys for ask in asks] == [(issue(2),)]


def test_a_large_project_is_split_and_does_not_keep_others_waiting() -> None:
    many = [waiting(iid, first_seq=iid) for iid in range(1, 2001)]
    asks = to_ask([*many, waiting(1, project_id=8, first_seq=5000)], now=at(60))
    assert len(asks) == MAX_ASKS
    assert [len(ask.keys) for ask in asks] == [100, 1, *[100] * (MAX_ASKS - 2)]
    assert asks[0].keys == tuple(map(issue, range(1, 101)))


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 40), st.floats(0, 20)),
        unique_by=lambda one: one[:2],
        max_size=60,
    ),
    st.integers(1, 7),
)
def test_asks_take_each_ripe_entity_once_whatever_the_order(
    found: list[tuple[int, int, float]], size: int
) -> None:
    entities = [
        waiting(iid, (received,), project_id=project_id, first_seq=seq)
        for seq, (project_id, iid, received) in enumerate(found, start=1)
    ]
    asks = to_ask(entities, now=at(10), size=size, most=1000)
    assert asks == to_ask(entities[::-1], now=at(10), size=size, most=1000)
    taken = [(ask.project_id, key) for ask in asks for key in ask.keys]
    assert sorted(taken) == sorted(one.identity for one in entities if is_ripe(one, at(10)))
    for ask in asks:
        assert len(ask.keys) <= size
        mine = [one for one in entities if one.project_id == ask.project_id and one.key in ask.keys]
        assert (ask.first_seq, ask.upto) == (min(one.first_seq for one in mine), max(one.last_seq for one in mine))
