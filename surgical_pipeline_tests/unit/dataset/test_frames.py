"""The dtype of a column depends on its type alone."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from surgical_pipeline.dataset.frames import to_frame

pytestmark = pytest.mark.filterwarnings("error")
MOMENT = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)
KINDS: dict[str, tuple[pa.DataType, Any, str]] = {
    "text": (pa.string(), "a", "string"),
    "integer": (pa.int64(), 2**53 + 1, "Int64"),
    "small integer": (pa.int32(), 5, "Int64"),
    "sum of integers": (pa.decimal128(38, 0), Decimal(7), "Int64"),
    "decimal": (pa.decimal128(10, 2), Decimal("1.5"), "Float64"),
    "number": (pa.float64(), 1.5, "Float64"),
    "boolean": (pa.bool_(), True, "boolean"),
    "time": (pa.timestamp("us", "UTC"), MOMENT, "datetime64[us, UTC]"),
    "date": (pa.date32(), date(2026, 5, 4), "datetime64[us]"),
    "category": (pa.dictionary(pa.uint8(), pa.string()), "a", "string"),
    "list": (pa.list_(pa.string()), ["a", None], "object"),
    "interval": (pa.month_day_nano_interval(), pa.MonthDayNano([0, 1, 1_000]), "timedelta64[us]"),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rows", ["value", "null", "value and null", "none"])
def test_a_type_has_one_dtype_whatever_the_rows(name: str, rows: str) -> None:
    kind, value, dtype = KINDS[name]
    values = {"value": [value], "null": [None], "value and null": [value, None], "none": []}[rows]
    frame = to_frame(pa.table({"x": pa.array(values, kind)}))
    assert str(frame["x"].dtype) == dtype
    assert list(frame["x"].isna()) == [one is None for one in values]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("integer", 2**53 + 1),
        ("sum of integers", 7),
        ("decimal", 1.5),
        ("time", pd.Timestamp(MOMENT)),
        ("date", pd.Timestamp("2026-05-04")),
        ("list", ["a", None]),
        ("interval", pd.Timedelta(timedelta(days=1, microseconds=1))),
    ],
)
def test_values_stay_what_they_are(name: str, shown: object) -> None:
    kind, value, _ = KINDS[name]
    (found,) = to_frame(pa.table({"x": pa.array([value], kind)}))["x"]
    assert found == shown


def test_a_sum_beyond_64_bits_becomes_a_number() -> None:
    frame = to_frame(pa.table({"x": pa.array([Decimal(10) ** 30], pa.decimal128(38, 0))}))
    assert (str(frame["x"].dtype), frame["x"][0]) == ("Float64", 1e30)


def test_an_interval_with_months_stays_as_it_is() -> None:
    one = pa.MonthDayNano([1, 0, 0])
    assert list(to_frame(pa.table({"x": pa.array([one], pa.month_day_nano_interval())}))["x"]) == [one]


def test_columns_of_one_name_stay_two() -> None:
    frame = to_frame(pa.Table.from_arrays([pa.array([1]), pa.array(["a"])], names=["x", "x"]))
    assert (list(frame.columns), [str(one) for one in frame.dtypes]) == (["x", "x"], ["Int64", "string"])


def test_chunks_make_one_frame_with_one_index() -> None:
    table = pa.concat_tables([pa.table({"x": [1, 2]}), pa.table({"x": [3]})])
    frame = to_frame(table)
    assert (list(frame.index), list(frame["x"])) == ([0, 1, 2], [1, 2, 3])
