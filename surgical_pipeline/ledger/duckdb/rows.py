"""The tables of a DuckDB file row by row; see `ledger.rows`. Names of tables and columns are our own."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.duckdb.faults import storage_errors
from surgical_pipeline.ledger.duckdb.file import PRIVATE
from surgical_pipeline.ledger.duckdb.leftovers import PARTIAL
from surgical_pipeline.ledger.duckdb.maintenance import copied_aside
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.rows import TABLES, Row, Tables

BATCH = 2000
_GIVEN = "rows_to_insert"


class DuckDBTables:
    """`ledger.rows.Tables` in one window on a file, one stream at a time."""

    def __init__(self, transaction: DuckDBTransaction, path: Path) -> None:
        self._connection = transaction.connection
        self._path = path

    def columns(self, table: str) -> list[str]:
        return [name for name, _ in self._types(table)]

    def stream(self, table: str, columns: Sequence[str], *, after: Row | None = None) -> Iterator[list[Row]]:
        keys = TABLES[table]
        condition = "" if after is None else f"WHERE ({', '.join(keys)}) > ({', '.join('?' for _ in keys)}) "
        text = f"SELECT {_names(columns)} FROM {table} {condition}ORDER BY {', '.join(keys)}"  # noqa: S608  our names
        with storage_errors(self._path):
            result = self._connection.execute(text, after)
            while rows := result.fetchmany(BATCH):
                yield rows

    def last_key(self, table: str) -> Row | None:
        keys = TABLES[table]
        order = ", ".join(f"{key} DESC" for key in keys)
        found = self._execute(f"SELECT {', '.join(keys)} FROM {table} ORDER BY {order} LIMIT 1")  # noqa: S608
        return found[0] if found else None

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        import pyarrow as pa  # noqa: PLC0415  only where it is used

        # As Python's own lists, DuckDB takes them five times as slowly.
        values = [pa.array(column) for column in zip(*rows, strict=True)]
        with storage_errors(self._path):
            self._connection.register(_GIVEN, pa.Table.from_arrays(values, names=list(columns)))
            names = _names(columns)
            self._connection.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {_GIVEN}")  # noqa: S608
            self._connection.unregister(_GIVEN)

    def _types(self, table: str) -> list[tuple[str, str]]:
        rows = self._execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_catalog = 'ledger' "
            "AND table_schema = 'main' AND table_name = ? ORDER BY ordinal_position",
            (table,),
        )
        return [(str(name), str(kind)) for name, kind in rows]

    def _execute(self, text: str, params: Any = None) -> list[Row]:
        with storage_errors(self._path):
            result: duckdb.DuckDBPyConnection = self._connection.execute(text, params)
            return result.fetchall()


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


class DuckDBRows:
    """`ledger.rows.RowLedger` in a file. What is read is a copy: writers wait only while bytes are copied."""

    def __init__(self, ledger: DuckDBLedger) -> None:
        self._ledger = ledger

    @property
    def location(self) -> str:
        return self._ledger.location

    @property
    def exists(self) -> bool:
        return self._ledger.exists

    @contextmanager
    def reading(self) -> Iterator[tuple[Transaction, Tables]]:
        with self._ledger.read("copy"):  # says now what is wrong with it, and migrates an older one
            pass
        # Of one that is killed, the copy is a leftover as a backup's.
        copy = self._ledger.path.with_name(f"{self._ledger.path.name}.{uuid.uuid4().hex}{PARTIAL}")
        with (
            copied_aside(self._ledger, copy, mode=PRIVATE),
            self._ledger.opened(copy, read_only=True) as connection,
        ):
            tx = DuckDBTransaction(connection, copy, now=utc_now())
            yield tx, DuckDBTables(tx, copy)

    @contextmanager
    def writing(self) -> Iterator[tuple[Transaction, Tables]]:
        with self._ledger.write("copy") as tx:
            yield tx, DuckDBTables(tx, self._ledger.path)
