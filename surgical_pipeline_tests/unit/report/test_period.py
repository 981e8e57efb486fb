from datetime import UTC, datetime, timedelta

import pytest

from surgical_pipeline.report.period import MAX_SLOTS, Period, PeriodError, in_words, parse_length

NOW = datetime(2026, 5, 4, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(hours=24)),
        (" 7d ", timedelta(days=7)),
        ("4w", timedelta(weeks=4)),
        ("3660d", timedelta(days=3660)),
    ],
)
def test_a_length_is_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert parse_length(text) == length


@pytest.mark.parametrize(
    "text", ["", "7", "d", "0d", "-1d", "1.5d", "7 d", "7D", "7y", "3661d", "٣d", "9" * 40 + "d"]
)
def test_anything_else_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(PeriodError, match="write 30m, 24h, 7d or 4w"):
        parse_length(text)


@pytest.mark.parametrize(
    "length", [timedelta(minutes=1), timedelta(hours=5), timedelta(days=7), timedelta(days=3660)]
)
def test_slots_cover_the_period_and_are_few_enough_for_a_phone(length: timedelta) -> None:
    period = Period.last(length, until=NOW)
    slots = list(period.slots())
    assert len(slots) <= MAX_SLOTS + 1
    assert period.start_of(slots[0]) <= period.since
    assert period.start_of(slots[-1]) < period.until <= period.start_of(slots[-1] + 1)


def test_a_period_that_ends_where_a_slot_begins_has_no_empty_last_slot() -> None:
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
    assert len(list(Period.last(timedelta(hours=24), until=noon).slots())) == 48


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(days=7), "7 days"),
        (timedelta(days=1), "24 hours"),
        (timedelta(hours=36), "36 hours"),
        (timedelta(minutes=1), "60 seconds"),
        (timedelta(seconds=1), "1 second"),
    ],
)
def test_a_length_is_told_in_the_largest_unit_that_fits(length: timedelta, words: str) -> None:
    assert in_words(length) == words
