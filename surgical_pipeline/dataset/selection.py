"""From filters to a SELECT: names are checked against the table's columns, values are bound."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from numbers import Integral, Real
from typing import Any

from surgical_pipeline.dataset.columns import Column, ColumnType
from surgical_pipeline.dataset.errors import DatasetError, UnknownNameError

_BOUNDS = {"after": ">=", "before": "<="}
_MANY = (list, tuple, set, frozenset)


@dataclass(frozen=True, slots=True)
class Selection:
    text: str
    params: Mapping[str, Any]


def select(
    table: str,
    columns: Sequence[Column],
    *,
    wanted: Sequence[str] | None = None,
    filters: Mapping[str, object] | None = None,
    visible: str = "",
) -> Selection:
    """The rows of a table that pass all filters.

    A filter is named like a column: a value, or a list of values of which any will do. For a list of texts, such
    as ``labels``, the row must have all of them. ``updated_after`` and ``updated_before`` are bounds of
    ``updated_at``, both inclusive as in GitLab's API, and likewise for other times and dates. None filters
    nothing.

    Args:
        table: its name as SQL.
        columns: all that it has.
        wanted: names of the columns to read; None: all.
        filters: by name.
        visible: SQL of which rows may be read at all.

    Raises:
        UnknownNameError: there is no such column.
        DatasetError: a value cannot be one of its column's.
    """
    by_name = {column.name: column for column in columns}
    names = list(by_name) if wanted is None else list(wanted)
    for name in names:
        _known(name, by_name, table=table)
    conditions = [f"({visible})"] if visible else []
    params: dict[str, object] = {}
    for name, value in (filters or {}).items():
        if value is None:
            continue
        column, comparison = _meant(name, by_name, table=table)
        conditions.append(f"{comparison.format(column=_quoted(column.name), value=f'$p{len(params)}')}")
        params[f"p{len(params)}"] = _checked(column, name, value)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return Selection(f"SELECT {', '.join(map(_quoted, names))} FROM {table}{where}", params)


def _meant(name: str, by_name: Mapping[str, Column], *, table: str) -> tuple[Column, str]:
    """The column that a filter is about, and how its value is compared."""
    if name in by_name:
        column = by_name[name]
        if column.type is ColumnType.TEXTS:
            return column, f"{{column}} @> CAST({{value}} AS {column.type.anywhere})"
        return column, f"{{column}} = ANY(CAST({{value}} AS {column.type.anywhere}[]))"
    stem, _, bound = name.rpartition("_")
    for candidate in (f"{stem}_at", stem):
        if bound in _BOUNDS and candidate in by_name:
            column = by_name[candidate]
            if column.type in (ColumnType.TIME, ColumnType.DAY):
                return column, f"{{column}} {_BOUNDS[bound]} CAST({{value}} AS {column.type.anywhere})"
    raise UnknownNameError(f"column of {_bare(table)}", name, by_name)


def _checked(column: Column, name: str, value: object) -> object:
    """The value as it is bound: a list, but for bounds."""
    if name != column.name:
        return _one(column, name, value)
    values: Collection[object] = value if isinstance(value, _MANY) else [value]
    return [_one(column, name, one) for one in values]


def _one(column: Column, name: str, value: object) -> object:
    if isinstance(value, bool) is not (column.type is ColumnType.BOOLEAN):  # to Python, True is a number
        raise _mismatch(column, name, value)
    match column.type:
        case ColumnType.TEXT | ColumnType.TEXTS if isinstance(value, str):
            return value
        case ColumnType.BOOLEAN:
            return value
        case ColumnType.INTEGER if isinstance(value, Integral):
            return int(value)
        case ColumnType.NUMBER if isinstance(value, Real):
            return float(value)
        case ColumnType.TIME:
            return _moment(name, value)
        case ColumnType.DAY:
            return _moment(name, value).date()
    raise _mismatch(column, name, value)


def _mismatch(column: Column, name: str, value: object) -> DatasetError:
    return DatasetError(f"{name}={value!r} cannot be: {column.name} holds {_WORDS[column.type]}")


_WORDS = {
    ColumnType.TEXT: "text",
    ColumnType.TEXTS: "texts",
    ColumnType.BOOLEAN: "True and False",
    ColumnType.INTEGER: "integers",
    ColumnType.NUMBER: "numbers",
    ColumnType.TIME: "times",
    ColumnType.DAY: "dates",
    ColumnType.VECTOR: "vectors, which cannot be filtered",
}


def _moment(name: str, value: object) -> datetime:
    """Without a zone, a time is in UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise DatasetError(f"{name}={value!r} is no time: write 2026-05-01 or 2026-05-01T12:00:00Z") from error
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise DatasetError(f"{name}={value!r} is no time: give a datetime, or a text such as 2026-05-01")
    return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


def _known(name: str, by_name: Mapping[str, Column], *, table: str) -> None:
    if name not in by_name:
        raise UnknownNameError(f"column of {_bare(table)}", name, by_name)


def _bare(table: str) -> str:
    return table.rpartition(".")[2].strip('"')


def _quoted(name: str) -> str:
    return f'"{name}"'
