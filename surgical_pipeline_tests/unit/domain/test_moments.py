"""Times as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from surgical_pipeline.domain.moments import length_of, moment_of


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T08:00:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00:00+02:00", datetime(2026, 1, 31, 6, tzinfo=UTC)),
    ],
)
def test_a_date_or_a_time_with_its_zone_is_a_moment_in_utc(text: str, moment: datetime) -> None:
    assert moment_of(text) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-01-31T08:00:00", "2026-02-30", "0001-01-01T00:00:00+02:00"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a date or a time with its zone"):
        moment_of(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30m", timedelta(minutes=30)),
        (" 12h ", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("4w", timedelta(weeks=4)),
        ("999999w", timedelta(weeks=999_999)),
        ("7", None),
        ("d", None),
        ("-7d", None),
        ("7 d", None),
        ("1234567d", None),
        ("\u0667d", None),
    ],
)
def test_a_length_is_a_number_and_a_unit(text: str, length: timedelta | None) -> None:
    assert length_of(text) == length
