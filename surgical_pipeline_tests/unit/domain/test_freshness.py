from datetime import UTC, datetime, timedelta

import pytest

from surgical_pipeline.domain.freshness import (
    CLOCK_MARGIN,
    REPLICA_LAG,
    SETTLING_TIME,
    is_settled,
    latest_believed,
    replaces,
)
from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType

CHANGED = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "settled"), [(-5, False), (0, False), (60, False), (124.999, False), (125, True), (10**6, True)]
)
def test_an_entity_is_settled_two_minutes_and_a_margin_after_its_last_change(
    seconds: float, settled: bool
) -> None:
    assert is_settled(CHANGED, CHANGED + timedelta(seconds=seconds)) is settled


def test_the_margin_covers_gitlabs_throttle_and_the_lag_of_a_replica_after_it() -> None:
    assert timedelta(seconds=60) + REPLICA_LAG < SETTLING_TIME


def fetched(seconds: float, *, updated: float) -> EntityRecord:
    return EntityRecord(
        key=EntityKey(EntityType.ISSUE, 12),
        project_id=7,
        gitlab_id=91,
        title="Engine",
        state="opened",
        updated_at=CHANGED + timedelta(seconds=updated),
        fetched_at=CHANGED + timedelta(seconds=seconds),
        payload="{}",
    )


LAG = REPLICA_LAG.total_seconds()


@pytest.mark.parametrize(
    ("seconds", "updated", "wins"),
    [
        (0, 0, True),
        (-1, 0, False),
        (1, 0, True),
        (LAG, -1, False),
        (LAG + 0.001, -1, True),
        (LAG + 0.001, -(10**6), True),
        (-LAG, 1, True),
        (-LAG - 0.001, 1, False),
        (-LAG - 0.001, 10**6, False),
    ],
)
def test_the_later_fetch_wins_and_within_a_replicas_lag_the_later_updated_at(
    seconds: float, updated: float, wins: bool
) -> None:
    stored = fetched(0, updated=0)
    assert replaces(fetched(seconds, updated=updated), stored) is wins


def test_a_fetch_is_believed_up_to_gitlabs_present_time_and_a_margin_for_clocks() -> None:
    assert latest_believed(lambda: CHANGED) == CHANGED + CLOCK_MARGIN
    assert latest_believed(lambda: None) == latest_believed(None) > CHANGED + timedelta(days=10**6)
