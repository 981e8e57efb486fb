"""Rows of readers' own SQL as Arrow. A column's type follows from PostgreSQL's alone, never from its values."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.numeric import NumericBinaryLoader
from psycopg.types.string import StrDumperUnknown

from surgical_pipeline.ledger.errors import ReaderSqlError
from surgical_pipeline.ledger.postgres.connections import Connection
from surgical_pipeline.ledger.postgres.faults import reason_of

BATCH = 10_000

_NAMED = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/"""
    r"|\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$|\$(?P<name>[^\W\d]\w*)",
    flags=re.DOTALL,
)
"""Parameters, and before them what may look like one: texts, names and comments."""

_TYPES = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "numeric": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "interval": pa.month_day_nano_interval(),
} | dict.fromkeys(("text", "varchar", "bpchar", "name", "json", "jsonb", "uuid"), pa.string())
"""By PostgreSQL's name for the type, or for the type of an array's elements."""


def read(connection: Connection, text: str, params: Mapping[str, Any]) -> pa.Table:
    """The rows of one query; parameters are written ``$name``.

    It goes to the server as the query of a cursor, in which nothing but a query can stand.

    Raises:
        ReaderSqlError: the query is wrong, or a column has a type that Arrow lacks.
        psycopg.OperationalError: the server is gone, …
    """
    try:
        with connection.cursor(name="reader", binary=True) as cursor:
            for name, loader in _LOADERS.items():
                cursor.adapters.register_loader(name, loader)
            cursor.adapters.register_dumper(str, StrDumperUnknown)  # the server finds out what it is compared with
            cursor.execute(_with_params(text), dict(params))
            columns = cursor.description or []
            kinds = [_type_of(column) for column in columns]
            batches = [_batch(rows, kinds) for rows in iter(lambda: cursor.fetchmany(BATCH), [])]
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and not isinstance(error, psycopg.errors.QueryCanceled):
            raise
        raise ReaderSqlError(reason_of(error)) from error
    chunks = zip(*batches, strict=True) if batches else [() for _ in kinds]
    arrays = [pa.chunked_array(list(chunk), kind) for chunk, kind in zip(chunks, kinds, strict=True)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])


def _with_params(text: str) -> str:
    def named(found: re.Match[str]) -> str:
        return f"%({found['name']})s" if found["name"] else found[0].replace("%", "%%")

    parts, end = [], 0
    for found in _NAMED.finditer(text):
        parts += [text[end : found.start()].replace("%", "%%"), named(found)]
        end = found.end()
    return "".join([*parts, text[end:].replace("%", "%%")])


def _type_of(column: psycopg.Column) -> pa.DataType:
    known = psycopg.adapters.types.get(column.type_code)
    if known is None or known.name not in _TYPES:
        raise ReaderSqlError(f"column {column.name} has a type that no data frame has: cast it, as in x::TEXT")
    return pa.list_(_TYPES[known.name]) if column.type_code == known.array_oid else _TYPES[known.name]


def _batch(rows: list[tuple[Any, ...]], kinds: list[pa.DataType]) -> list[pa.Array]:
    return [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]


_EPOCH_DAYS = 10_957
"""From 1970, Arrow's beginning of time, to 2000, PostgreSQL's."""
_EPOCH_MICROSECONDS = _EPOCH_DAYS * 86_400 * 1_000_000


def _loader(load: Callable[[bytes], Any]) -> type[Loader]:
    """Of a value in PostgreSQL's binary format."""

    class Binary(Loader):
        format = psycopg.pq.Format.BINARY

        def load(self, data: Buffer) -> Any:
            return load(bytes(data))

    return Binary


def _integer(data: bytes) -> int:
    return int.from_bytes(data, signed=True)


def _interval(data: bytes) -> pa.MonthDayNano:
    return pa.MonthDayNano([_integer(data[12:]), _integer(data[8:12]), _integer(data[:8]) * 1000])


class _Number(NumericBinaryLoader):
    """A sum of whole numbers is no other type than their average, so both are floats."""

    def load(self, data: Buffer) -> float:  # type: ignore[override]
        return float(super().load(data))


_LOADERS: dict[str, type[Loader]] = {
    "numeric": _Number,
    "date": _loader(lambda data: _integer(data) + _EPOCH_DAYS),
    "timestamp": _loader(lambda data: _integer(data) + _EPOCH_MICROSECONDS),
    "timestamptz": _loader(lambda data: _integer(data) + _EPOCH_MICROSECONDS),
    "interval": _loader(_interval),
    "json": _loader(lambda data: data.decode()),
    "jsonb": _loader(lambda data: data[1:].decode()),
    "uuid": _loader(lambda data: str(UUID(bytes=data))),
}
