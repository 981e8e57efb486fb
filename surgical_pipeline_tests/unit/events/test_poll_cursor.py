"""Everything that polling remembers fits into 2 KB of text and comes back as it was."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.listing import ListPosition
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.domain.watches import MAX_WATCHES, Watch
from surgical_pipeline.events.list_state import MAX_TRIES, ListState
from surgical_pipeline.events.poll_cursor import MAX_CHARACTERS, CursorError, PollCursor, fit, key_of
from surgical_pipeline_tests.unit.events.simulated import NOON

MARK = "2026-01-01T00:00:00.000000+00:00/123456/abcdef12"
times = st.integers(0, 253_402_300_799_999).map(
    lambda ms: NOON.replace(year=1970, month=1, day=1, hour=0) + timedelta(milliseconds=ms)
)
positions = st.builds(ListPosition, times, st.integers(-900, 900), st.none())
states = st.builds(
    ListState,
    mark=times,
    started=times,
    position=st.none() | positions,
    floor=st.none() | times,
) | st.builds(
    ListState,
    mark=times,
    started=times,
    since=times,
    page=st.integers(1, 900),
    looked_at=times,
    tries=st.integers(0, MAX_TRIES + 1),
)
watch_states = st.dictionaries(st.sampled_from(list(EntityType)), states, min_size=1)


@given(
    states=st.dictionaries(st.binary(min_size=4, max_size=4), watch_states, max_size=5), turn=st.integers(0, 49)
)
def test_a_cursor_comes_back_from_its_text_as_it_was(
    states: dict[bytes, dict[EntityType, ListState]], turn: int
) -> None:
    cursor = PollCursor(MARK, turn, NOON, states)
    assert PollCursor.parse(str(cursor)) == cursor


def test_a_way_back_comes_back_with_where_it_leads() -> None:
    state = ListState(NOON, NOON, ListPosition(NOON, -3, NOON + timedelta(seconds=2)))
    cursor = PollCursor(states={b"some": {EntityType.MERGE_REQUEST: state}})
    assert PollCursor.parse(str(cursor)) == cursor


def state_of(number: int, *, outstanding: bool = False, unfinished: bool = False) -> ListState:
    mark = NOON + timedelta(milliseconds=number)
    earlier = mark - timedelta(hours=30)
    return ListState(
        mark,
        mark - timedelta(hours=1) if unfinished else mark,
        ListPosition(earlier, -200, mark) if unfinished else None,
        since=earlier if outstanding else None,
        looked_at=mark - timedelta(minutes=9) if outstanding else None,
        page=200 if outstanding and unfinished else 1,
        tries=2 if outstanding else 0,
        floor=earlier if unfinished else None,
    )


def all_watched(*, outstanding: int = 0, unfinished: int = 0) -> PollCursor:
    """As many as there may be, so many of them with outstanding changes or an unfinished reading in both lists."""
    states = {
        key_of(Watch(f"acme/p{number}")): {
            kind: state_of(number * 7, outstanding=number < outstanding, unfinished=number < unfinished)
            for kind in EntityType
        }
        for number in range(MAX_WATCHES)
    }
    return PollCursor(MARK, MAX_WATCHES - 1, NOON, states)


@pytest.mark.parametrize(("outstanding", "unfinished"), [(0, 0), (40, 0), (20, 10)])
def test_as_many_watches_as_are_allowed_fit_into_2_kb(outstanding: int, unfinished: int) -> None:
    cursor = all_watched(outstanding=outstanding, unfinished=unfinished)
    assert fit(cursor.states)
    assert len(str(cursor)) <= MAX_CHARACTERS


def test_what_would_not_fit_is_known_before_it_is_written() -> None:
    assert not fit(all_watched(outstanding=50, unfinished=50).states)


@given(count=st.integers(0, 90))
@settings(deadline=None)
def test_whatever_fits_makes_a_text_of_2_kb_at_most(count: int) -> None:
    worst = all_watched(outstanding=50, unfinished=50).states
    states = {
        bytes([number, *key[1:]]): state for number, (key, state) in enumerate(worst.items()) if number < count
    }
    if fit(states):
        assert len(str(PollCursor("x" * 90 + "/1/x", 49, NOON, states))) <= MAX_CHARACTERS


@pytest.mark.parametrize(
    "text",
    ["{}", "1", "2 0 0 - ", "1 x 0 - ", "1 0 0 a/b ", "1 0 0 - !!!!", "1 0 0 - 00000", "1 0 0 - '\"", "é" * 9],
)
def test_a_text_that_is_no_cursor_is_an_error_that_says_so(text: str) -> None:
    with pytest.raises(CursorError):
        PollCursor.parse(text)


def test_one_watch_takes_16_bytes_where_nothing_happens() -> None:
    empty, one = (
        len(str(PollCursor(MARK, 0, NOON, dict(list(all_watched().states.items())[:n])))) for n in (0, 10)
    )
    assert (one - empty) / 10 * 4 / 5 <= 16
