from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from surgical_pipeline.sandbox.api import params
from surgical_pipeline.sandbox.api.errors import ApiError

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(min_value=0, max_value=3 * 10**15).map(lambda us: FIRST + timedelta(microseconds=us))


@given(INSTANTS)
def test_a_lower_bound_is_never_too_low_and_an_upper_bound_never_too_high(moment: datetime) -> None:
    query = QueryParams({"at": moment.isoformat()})
    lower, upper = (params.instant(query, "at", round_up=up) for up in (True, False))
    assert lower is not None
    assert upper is not None
    assert datetime.fromisoformat(upper) <= moment <= datetime.fromisoformat(lower)
    assert datetime.fromisoformat(lower) - datetime.fromisoformat(upper) <= timedelta(milliseconds=1)


@given(INSTANTS, INSTANTS)
def test_written_instants_compare_like_instants(first: datetime, second: datetime) -> None:
    written = params.format_instant(first), params.format_instant(second)
    if abs(first - second) >= timedelta(milliseconds=1):
        assert (written[0] < written[1]) == (first < second)


def test_every_zone_is_written_in_utc() -> None:
    moment = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert params.format_instant(moment) == "2026-02-28T23:30:00.000Z"


@given(st.lists(st.integers(min_value=1, max_value=10**9)))
def test_iids_come_back_whichever_way_they_were_written(wanted: list[int]) -> None:
    expected = frozenset(wanted) or None
    assert params.iids(QueryParams([("iids[]", str(iid)) for iid in wanted])) == expected
    assert params.iids(QueryParams([("iids", ",".join(map(str, wanted)))])) == expected


@pytest.mark.parametrize("text", ["2026-13-01", "soon", "2026-01-01T00:00:00 00:00"])
def test_an_instant_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        params.instant(QueryParams({"updated_after": text}), "updated_after", round_up=True)
    assert (caught.value.status, caught.value.body) == (400, {"error": "updated_after is invalid"})
