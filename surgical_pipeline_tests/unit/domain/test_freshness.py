from datetime import UTC, datetime, timedelta

import pytest

from surgical_pipeline.domain.freshness import SETTLING_TIME, is_settled

CHANGED = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "settled"), [(-5, False), (0, False), (60, False), (64.999, False), (65, True), (10**6, True)]
)
def test_an_entity_is_settled_a_minute_and_a_margin_after_its_last_change(seconds: float, settled: bool) -> None:
    assert is_settled(CHANGED, CHANGED + timedelta(seconds=seconds)) is settled


def test_the_margin_covers_gitlabs_throttle_of_a_minute() -> None:
    assert timedelta(seconds=60) < SETTLING_TIME
