"""From filters to SQL with bound values."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from surgical_pipeline.dataset.errors import DatasetError, UnknownNameError
from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.dataset.selection import select

ISSUES = TABLES["issues"].columns
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def where(**filters: object) -> tuple[str, list[object]]:
    chosen = select("issues", ISSUES, wanted=["iid"], filters=filters)
    return chosen.text.removeprefix('SELECT "iid" FROM issues WHERE '), list(chosen.params.values())


def test_a_value_is_one_of_its_column_and_a_list_is_any_of_them() -> None:
    assert where(project="acme/rocket") == ('"project" = ANY(CAST($p0 AS TEXT[]))', [["acme/rocket"]])
    assert where(iid=(1, np.int64(2)))[1] == [[1, 2]]
    assert where(confidential=False)[1] == [[False]]


def test_a_row_has_all_labels_that_are_asked_for() -> None:
    assert where(labels=["bug", "ui"]) == ('"labels" @> CAST($p0 AS TEXT[])', [["bug", "ui"]])


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ("2026-05-04T12:00:00Z", NOON),
        ("2026-05-04T14:00:00+02:00", NOON),
        (NOON, NOON),
        (datetime(2026, 5, 4, 12), NOON),  # noqa: DTZ001  without a zone it is in UTC
        (NOON.astimezone(timezone(timedelta(hours=5))), NOON),
        (date(2026, 5, 4), NOON.replace(hour=0)),
        ("2026-05-04", NOON.replace(hour=0)),
    ],
)
def test_bounds_of_a_time_are_moments_in_utc(given: object, bound: datetime) -> None:
    assert where(updated_after=given) == ('"updated_at" >= CAST($p0 AS TIMESTAMPTZ)', [bound])
    assert where(closed_before=given) == ('"closed_at" <= CAST($p0 AS TIMESTAMPTZ)', [bound])


def test_bounds_of_a_date_are_days() -> None:
    assert where(due_date_before="2026-05-04") == ('"due_date" <= CAST($p0 AS DATE)', [date(2026, 5, 4)])


def test_none_filters_nothing() -> None:
    assert select("issues", ISSUES, wanted=["iid"], filters={"project": None}).text == 'SELECT "iid" FROM issues'


def test_all_filters_count_and_hidden_rows_stay_hidden() -> None:
    chosen = select(
        "issues", ISSUES, wanted=["iid"], filters={"state": "opened", "weight": 3}, visible="NOT (confidential)"
    )
    assert chosen.text.endswith(
        'WHERE (NOT (confidential)) AND "state" = ANY(CAST($p0 AS TEXT[])) '
        'AND "weight" = ANY(CAST($p1 AS BIGINT[]))'
    )


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"iid": "1"}, "iid='1' cannot be: iid holds integers"),
        ({"iid": True}, "iid holds integers"),
        ({"confidential": 1}, "confidential holds True and False"),
        ({"title": 5}, "title holds text"),
        ({"labels": [5]}, "labels holds texts"),
        ({"updated_at": 5}, "give a datetime"),
        ({"updated_after": "soon"}, "is no time: write 2026-05-01"),
    ],
)
def test_a_value_that_cannot_be_is_refused(filters: dict[str, object], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        where(**filters)


@pytest.mark.parametrize("name", ["lable", "title_after", "nonsense_before", 'iid"; DROP TABLE x; --'])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="There is no column of issues"):
        where(**{name: "x"})
    with pytest.raises(UnknownNameError):
        select("issues", ISSUES, wanted=[name])


def test_the_nearest_names_are_told() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean labels\?"):
        where(label="bug")
