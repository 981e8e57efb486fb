"""What a person may write for an age and for triggers, and what is refused in a sentence."""

from datetime import timedelta

import pytest

from surgical_pipeline.domain.lifecycle import Trigger
from surgical_pipeline.domain.pruning import PruneError, PruneWish, by_frequency, parse_age, parse_triggers
from surgical_pipeline.ledger.clock import utc_now


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("2w", timedelta(days=14)),
        ("90m", timedelta(minutes=90)),
        (" 1m ", timedelta(minutes=1)),
        ("36500d", timedelta(days=36_500)),
    ],
)
def test_an_age_is_a_number_with_its_unit(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize(
    "text", ["", "30", "d", "0d", "-1d", "1.5d", "30 d", "30D", "30days", "1y", "9999999d", "36501d", "59s", "٣d"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PruneError, match="such as 30d or 12h") as refused:
        parse_age(text)
    assert repr(text) in str(refused.value)


def test_triggers_are_named_with_commas_between_them() -> None:
    assert parse_triggers("sensor,backfill") == {Trigger.SENSOR, Trigger.BACKFILL}
    assert parse_triggers(" cli , ,launchpad,cli") == {Trigger.CLI, Trigger.LAUNCHPAD}


@pytest.mark.parametrize("text", ["", ",", "sensors", "cli,poll", "Sensor"])
def test_an_unknown_trigger_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(PruneError, match="one of launchpad, sensor, backfill, cli, not"):
        parse_triggers(text)


def test_events_go_with_the_runs_of_sensors() -> None:
    assert PruneWish(before=utc_now()).takes_events
    assert PruneWish(before=utc_now(), triggers=frozenset({Trigger.SENSOR})).takes_events
    assert not PruneWish(before=utc_now(), triggers=frozenset({Trigger.CLI})).takes_events


def test_reasons_are_counted_the_most_frequent_first() -> None:
    assert list(by_frequency(["b", "a", "c", "c"]).items()) == [("c", 2), ("a", 1), ("b", 1)]
