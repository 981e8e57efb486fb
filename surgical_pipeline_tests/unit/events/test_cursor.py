import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgical_pipeline.events.cursor import MAX_BYTES, MAX_OUTSTANDING, CursorError, InboxCursor, Outstanding
from surgical_pipeline.events.debounce import MAX_ASKS, Ask, to_ask
from surgical_pipeline_tests.unit.events.inbox import NOON, at, issue, waiting

MARK = "2026-05-04T12:00:00.123456+00:00/123456789012/0a1b2c3d"


def ask(*, first_seq: int = 1, upto: int = 9, project_id: int = 7) -> Ask:
    return Ask(project_id, "acme/rocket", (issue(1),), first_seq, upto, 1, 1)


def outstanding(number: int, asked: float = 0) -> Outstanding:
    return Outstanding(number, at(asked), 7, 1, 9)


@given(
    st.builds(InboxCursor, mark=st.sampled_from(["", MARK]), seq=st.integers(0, 2**40), asks=st.integers(0, 2**40))
)
def test_a_cursor_is_read_back_as_it_was_written(cursor: InboxCursor) -> None:
    cursor, _ = cursor.after([ask(upto=12, project_id=2**40)], now=at(0.25))
    assert InboxCursor.parse(str(cursor)) == cursor


def test_the_largest_cursor_fits_into_two_kilobytes() -> None:
    cursor = InboxCursor(MARK, 10**15, 10**10)
    for tick in range(10):
        asks = [ask(first_seq=10**15 + n, upto=10**15 + n, project_id=10**12 + n) for n in range(MAX_ASKS)]
        cursor, _ = cursor.after(asks, now=at(tick + 0.123456))
    assert len(cursor.outstanding) == MAX_OUTSTANDING
    assert len(str(cursor).encode()) <= MAX_BYTES


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        "null",
        '{"ledger":"odd","seq":1,"asks":1,"outstanding":[]}',
        '{"ledger":"a/x/b","seq":1,"asks":1,"outstanding":[]}',
        '{"ledger":"","seq":1,"asks":1,"outstanding":[[1,2]]}',
        '{"ledger":"","seq":1,"asks":1,"outstanding":[[1,1e99,3,4,5]]}',
    ],
)
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(CursorError, match="cannot be read"):
        InboxCursor.parse(text)


def test_asks_are_numbered_on_and_begin_with_the_time() -> None:
    cursor, numbers = InboxCursor().after([ask(), ask()], now=NOON)
    assert numbers == (int(NOON.timestamp()), int(NOON.timestamp()) + 1)
    cursor, numbers = cursor.after([ask(upto=20)], now=at(-999))
    assert numbers == (int(NOON.timestamp()) + 2,)
    assert (cursor.asks, cursor.seq) == (numbers[0], 20)
    assert cursor.numbered(0, now=NOON) == (cursor, ())


def test_an_ask_is_outstanding_until_its_run_is_seen_or_a_minute_has_passed() -> None:
    cursor = InboxCursor(outstanding=(outstanding(1), outstanding(2), outstanding(3, asked=30)))
    assert [one.number for one in cursor.without({2}, now=at(59)).outstanding] == [1, 3]
    assert [one.number for one in cursor.without(set(), now=at(60)).outstanding] == [3]
    assert cursor.without(set(), now=at(-60)).outstanding == ()


def test_what_an_unseen_run_may_take_is_held() -> None:
    entities = [waiting(1), waiting(2, first_seq=40)]
    cursor, _ = InboxCursor().after(to_ask(entities[:1], now=at(10)), now=at(10))
    assert cursor.held(entities) == {(7, issue(1))}
    assert cursor.held([waiting(1, project_id=8)]) == set()
    later_attempt = waiting(1, (), attempts=1, attempted=11)
    assert cursor.held([later_attempt]) == set()
