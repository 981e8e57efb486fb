"""From Arrow to pandas with dtypes that depend on the column's type alone, never on its values.

DuckDB's own ``.df()`` gives a column of integers another dtype when it has NULLs, and times in the machine's zone.

| SQL | dtype |
|---|---|
| text | ``string`` |
| integers, and sums of them | ``Int64`` (``Float64`` if a sum is too large for that) |
| other numbers | ``Float64`` |
| boolean | ``boolean`` |
| time with zone | ``datetime64[us, UTC]`` |
| time without zone, date | ``datetime64[us]`` |
| interval without months | ``timedelta64[us]`` |
| list | ``object``: lists, None for NULL |
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pandas as pd
import pyarrow as pa


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A DataFrame with a fresh index from 0."""
    series = [_series(column) for column in table.columns]
    frame = pd.concat(series, axis=1) if series else pd.DataFrame(index=pd.RangeIndex(table.num_rows))
    frame.columns = pd.Index(table.column_names)
    return frame


def _series(column: pa.ChunkedArray) -> Any:
    """A Series; pyarrow has no type information, so nobody knows."""
    column = _simple(column)
    kind = column.type
    for is_kind, stored, dtype in _DTYPES:
        if is_kind(kind):
            return column.cast(stored).to_pandas(types_mapper=lambda _kind, dtype=dtype: dtype)
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", tz="UTC" if kind.tz else None)).to_pandas()
    if pa.types.is_interval(kind):
        return _durations(column)
    return pd.Series(column.to_pylist(), dtype=object)


_DTYPES: tuple[tuple[Callable[[pa.DataType], bool], pa.DataType, Any], ...] = (
    (pa.types.is_string, pa.string(), pd.StringDtype("pyarrow")),
    (pa.types.is_null, pa.string(), pd.StringDtype("pyarrow")),
    (pa.types.is_boolean, pa.bool_(), pd.BooleanDtype()),
    (pa.types.is_uint64, pa.uint64(), pd.UInt64Dtype()),
    (pa.types.is_integer, pa.int64(), pd.Int64Dtype()),
    (pa.types.is_floating, pa.float64(), pd.Float64Dtype()),
)


def _simple(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Types that only say how values are kept, as those that they are."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("us"))
    return _without_decimals(column) if pa.types.is_decimal(kind) else column


def _without_decimals(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Integers where the type has no decimals: DuckDB sums integers as 128 bits."""
    if column.type.scale == 0:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            pass
    return column.cast(pa.float64())


def _durations(column: pa.ChunkedArray) -> Any:
    """Months have no fixed length, so intervals with months stay as they are."""
    values = column.to_pylist()
    if any(value is not None and value.months for value in values):
        return pd.Series(values, dtype=object)
    microseconds = [
        None
        if value is None
        else timedelta(days=value.days, microseconds=value.nanoseconds // 1000) // timedelta(microseconds=1)
        for value in values
    ]
    return pa.chunked_array([pa.array(microseconds, pa.int64()).cast(pa.duration("us"))]).to_pandas()
