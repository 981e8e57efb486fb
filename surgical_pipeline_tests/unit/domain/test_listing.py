"""How a moving list is read: the anchor, the pages behind it, and the way back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.listing import ListPosition, to_milliseconds

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
ROWS = range(25)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_page_with_later_rows_leads_to_page_1_from_the_last_row_on() -> None:
    assert ListPosition(at(0)).after([at(0), at(3), at(5)], more=True) == ListPosition(at(5))


def test_a_page_of_one_time_leads_to_the_next_page_with_the_same_anchor() -> None:
    assert ListPosition(at(5), 2).after([at(5), at(5)], more=True) == ListPosition(at(5), 3)


def test_behind_several_pages_of_one_time_the_way_leads_back_before_the_anchor_moves() -> None:
    way = [ListPosition(at(5), 3).after([at(5), at(6)], more=True)]
    while way[-1] is not None and way[-1].page < 0:
        way.append(way[-1].after([at(5)], more=True))
    assert way == [ListPosition(at(5), -2, at(6)), ListPosition(at(5), -1, at(6)), ListPosition(at(6))]


def test_after_the_way_back_from_the_last_page_comes_what_has_changed_meanwhile() -> None:
    back = ListPosition(at(5), 2).after([at(5)], more=False)
    assert back == ListPosition(at(5), -1, at(5.001))
    assert back.after([at(5)], more=True) == ListPosition(at(5.001))
    assert ListPosition(at(5.001)).after([], more=False) is None


@pytest.mark.parametrize("times", [[], [at(1)], [at(0)]])
def test_page_1_without_a_next_page_is_the_end(times: list[datetime]) -> None:
    assert ListPosition(at(0)).after(times, more=False) is None


def test_a_page_from_which_every_row_was_taken_is_not_the_last() -> None:
    assert ListPosition(at(0)).after([], more=True) == ListPosition(at(0), 2)


def test_what_is_smaller_than_a_millisecond_moves_no_anchor() -> None:
    row = at(0) + timedelta(microseconds=7)
    assert to_milliseconds(row) == at(0)
    assert ListPosition(at(0)).after([row], more=True) == ListPosition(at(0), 2)


def read(versions: dict[int, datetime], page_size: int, hidden: set[int], between: Callable[[], None]) -> set[int]:
    """The rows that one reading from noon on sees, while ``between`` moves some after each page."""
    seen: set[int] = set()
    position: ListPosition | None = ListPosition(at(0))
    while position is not None:
        listed = sorted((time, row) for row, time in versions.items() if time >= position.anchor)
        start = (abs(position.page) - 1) * page_size
        page = [(time, row) for time, row in listed[start : start + page_size] if row not in hidden]
        seen |= {row for _, row in page}
        position = position.after([time for time, _ in page], more=start + page_size < len(listed))
        between()
    return seen


@given(
    seed=st.integers(0, 2**32),
    page_size=st.integers(1, 7),
    times=st.integers(1, 6),
    edits=st.integers(0, 40),
)
@settings(max_examples=400, deadline=None)
def test_no_row_that_stays_slips_past_a_reader_however_others_move(
    seed: int, page_size: int, times: int, edits: int
) -> None:
    random = Random(seed)
    versions = {row: at(random.randrange(times)) for row in ROWS}
    hidden = set(random.sample(ROWS, 5))
    moved: set[int] = set()
    clock = iter(range(100, 100 + edits))

    def edit() -> None:
        if random.random() < 0.7 and (time := next(clock, None)):
            row = random.choice(ROWS)
            versions[row] = at(time)
            moved.add(row)

    seen = read(versions, page_size, hidden, edit)
    assert seen >= set(ROWS) - hidden - moved
