"""Times as people write them."""

from datetime import UTC, datetime

import pytest

from surgical_pipeline.domain.moments import moment_of


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
