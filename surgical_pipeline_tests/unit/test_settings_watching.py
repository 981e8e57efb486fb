"""The settings of what the sensors watch, and from when on."""

from datetime import UTC, datetime

import pytest

from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.settings import Settings, SettingsError


def settings(**environment: str) -> Settings:
    return Settings.from_environment(environment)


def test_projects_ids_and_groups_are_watched() -> None:
    watches = settings(SURGICAL_PROJECTS="acme/rocket, 42, tools/*").watches
    assert watches == (Watch("acme/rocket"), Watch("42"), Watch("tools", is_group=True))


def test_nothing_is_watched_where_nothing_is_named() -> None:
    assert settings().watches == ()
    assert settings(SURGICAL_PROJECTS="  ").watches == ()


@pytest.mark.parametrize(
    "text", ["rocket", "*", "acme/rocket; acme/tools", "https://gitlab.com/acme/rocket", "'a/b'"]
)
def test_an_entry_that_names_nothing_is_refused_by_its_setting(text: str) -> None:
    with pytest.raises(SettingsError, match="SURGICAL_PROJECTS"):
        assert settings(SURGICAL_PROJECTS=text).watches


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T08:00:00Z", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("2026-01-31T08:00:00.250+02:00", datetime(2026, 1, 31, 6, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_changes_count_from_a_day_or_a_time_with_its_zone(text: str, moment: datetime) -> None:
    assert settings(SURGICAL_SINCE=text).since == moment
    assert settings().since is None


@pytest.mark.parametrize(
    "text", ["2026-01-31T08:00:00", "yesterday", "31.01.2026", "2026-13-01", "0001-01-01T00:00:00+23:00"]
)
def test_a_time_without_zone_and_no_time_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"SURGICAL_SINCE must be a date or a time with its zone, such as 2026-"
    ):
        assert settings(SURGICAL_SINCE=text).since
