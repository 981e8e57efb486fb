"""One rule after the other: what is new, what is waited for, when it is asked for again, what is remembered."""

from datetime import datetime, timedelta
from random import Random

import pytest

from surgical_pipeline.domain.listing import ListedEntity, ListPosition
from surgical_pipeline.events.changes import Turn, take_turn
from surgical_pipeline.events.list_state import MAX_TRIES, OVERLAP, ListState, Reading, Standing
from surgical_pipeline_tests.unit.events.simulated import NOON, Polling, SimulatedGitLab, SimulatedLedger, row


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


STATE = ListState(mark=at(0), started=at(0))


def turn(*rows: ListedEntity, state: ListState = STATE, now: float = 10, standing: Standing | None = None) -> Turn:
    """A look at a list that was read to its end."""
    reading = Reading(state.next_position, None, rows, at(now))
    standings = {one.identity: standing for one in rows} if standing else {}
    return take_turn(state, reading, standings=standings, now=at(now))


def test_the_beginning_counts_from_exactly_its_time_on() -> None:
    found = turn(row(1, at(99.999)), row(2, at(100)), state=ListState.beginning(at(100)), now=110)
    assert [one.key.iid for one in found.asked] == [2]
    assert ListState.beginning(at(100)).next_position == ListPosition(at(100))


def test_a_list_that_was_read_to_its_end_is_known_until_gitlab_was_asked_and_read_again_with_overlap() -> None:
    after = turn(row(1, at(4))).state
    assert (after.mark, after.started) == (at(10), at(10))
    assert after.next_position == ListPosition(at(10) - OVERLAP)


def test_an_unfinished_reading_goes_on_where_it_stopped_and_is_known_until_there() -> None:
    stopped = ListPosition(at(6))
    reading = Reading(STATE.next_position, stopped, [row(1, at(3)), row(2, at(6))], at(10))
    after = take_turn(STATE, reading, standings={}, now=at(10)).state
    assert (after.mark, after.next_position) == (at(6), stopped)


def test_the_reading_after_an_unfinished_one_overlaps_with_when_that_began() -> None:
    """A row may have shown up late while it went on."""
    stopped = ListPosition(at(6))
    state = take_turn(STATE, Reading(STATE.next_position, stopped, [], at(10)), standings={}, now=at(10)).state
    after = take_turn(state, Reading(stopped, None, [], at(200)), standings={}, now=at(200)).state
    assert after.mark == at(200)
    assert after.next_position == ListPosition(at(10) - OVERLAP)


def test_the_version_that_the_ledger_has_is_done() -> None:
    found = turn(row(1, at(4)), standing=Standing(at(4), at(5), complete=True))
    assert (found.asked, found.outstanding, found.state.since) == ([], 0, None)


@pytest.mark.parametrize(
    ("stored", "done"),
    [
        (Standing(at(4), at(5), complete=False), False),
        (Standing(at(3), at(5), complete=True), False),
        (Standing(at(5), at(6), complete=True), True),  # changed again, and fetched after that
        (Standing(at(9999), at(2), complete=True), False),  # somebody had set its time into the future
        (Standing(), False),
    ],
)
def test_a_stored_version_counts_if_its_fetch_saw_the_change(stored: Standing, *, done: bool) -> None:
    assert stored.has(at(4)) is done


def test_a_new_row_is_asked_for_though_a_run_is_at_work_but_not_if_one_waits() -> None:
    assert turn(row(1, at(4)), standing=Standing(running=True)).asked
    waiting = turn(row(1, at(4)), standing=Standing(queued=True))
    assert (waiting.asked, waiting.outstanding) == ([], 1)


def test_a_row_that_shows_up_late_is_asked_for_at_once() -> None:
    assert turn(row(1, at(-60))).asked


def test_what_is_outstanding_is_remembered_by_its_oldest_time() -> None:
    after = turn(row(1, at(4)), row(2, at(3)), row(3, at(9))).state
    assert (after.since, after.looked_at, after.tries) == (at(3), at(10), 1)


def ask_times(standing_after: Standing, *, until: float) -> list[float]:
    """When a change is asked for, seconds after noon, where the ledger never has it."""
    state = STATE
    times: list[float] = []
    for now in range(10, int(until), 5):
        readings = [one for one in (state.looks_back(at(now)),) if one]
        rows = [row(1, at(4))]
        back = Reading(readings[0], None, rows, at(now)) if readings else None
        seen = rows if state.next_position.anchor <= at(4) else []
        reading = Reading(state.next_position, None, seen, at(now))
        known = {rows[0].identity: standing_after} if times else {}
        found = take_turn(state, reading, back, standings=known, now=at(now))
        state = found.state
        times += [now] * len(found.asked)
    return times


def test_without_any_trace_it_is_asked_for_again_after_30_s_2_minutes_and_then_every_10() -> None:
    assert ask_times(Standing(), until=2000) == [10, 40, 160, 760, 1360, 1960]


def test_what_leaves_no_trace_is_reported_from_the_fourth_time_on() -> None:
    state = ListState(at(500), at(500), since=at(4), looked_at=at(10), tries=MAX_TRIES)
    reading = Reading(ListPosition(at(0)), None, [row(1, at(4))], at(700))
    found = take_turn(state, reading, standings={}, now=at(700))
    assert found.traceless == found.asked == [row(1, at(4))]
    earlier = ListState(at(500), at(500), since=at(4), looked_at=at(10), tries=MAX_TRIES - 1)
    assert take_turn(earlier, reading, standings={}, now=at(700)).traceless == []


def test_after_a_run_that_ended_it_is_asked_for_again_after_the_backoff() -> None:
    state = ListState(at(5), at(5), since=at(4), looked_at=at(5), tries=1)
    tried = Standing(tries=1, tried_at=at(20))
    assert not turn(row(1, at(4)), state=state, now=49, standing=tried).asked
    assert turn(row(1, at(4)), state=state, now=50, standing=tried).asked


def test_after_three_runs_it_is_missed_once_and_no_longer_waited_for() -> None:
    state = ListState(at(5), at(5), since=at(4), looked_at=at(5), tries=1)
    tried = Standing(tries=MAX_TRIES, tried_at=at(20))
    found = turn(row(1, at(4)), state=state, now=50, standing=tried)
    assert (found.missed, found.asked, found.state.since) == ([row(1, at(4))], [], None)
    assert turn(row(1, at(4)), state=found.state, now=60, standing=tried).missed == []


def test_a_time_in_the_future_does_not_carry_the_mark_along() -> None:
    found = turn(row(1, at(9_999_999)), row(2, at(5)))
    assert [one.key.iid for one in found.asked] == [2, 1]
    assert found.state.mark == at(10)
    done = turn(
        row(1, at(9_999_999)), state=found.state, now=20, standing=Standing(at(9_999_999), at(15), complete=True)
    )
    assert (done.asked, done.state.since) == ([], None)


@pytest.mark.parametrize("max_pages", [2, 50])
def test_250_rows_of_one_time_are_asked_for_once_each_and_hold_nothing_up(max_pages: int) -> None:
    gitlab = SimulatedGitLab(Random(1), page_size=100)
    ledger = SimulatedLedger(gitlab)
    polling = Polling(gitlab, ledger, max_pages=max_pages)
    gitlab.change(*range(1, 251))
    for _ in range(3):
        polling.tick()
    assert len(ledger.asked) == 250  # not only when what is outstanding is looked at again
    gitlab.change(999)
    for _ in range(30):
        polling.tick()
    assert sorted(iid for iid, _ in ledger.asked) == [*range(1, 251), 999]
    assert polling.state.since is None
    assert polling.state.started >= gitlab.now - timedelta(seconds=60)
