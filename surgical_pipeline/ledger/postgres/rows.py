"""The tables of a ledger in PostgreSQL row by row; see `ledger.rows`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg import sql

from surgical_pipeline.ledger.postgres.connections import Connection
from surgical_pipeline.ledger.postgres.faults import storage_errors
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.rows import TABLES, Row, Tables

BATCH = 2000


class PostgresTables:
    """`ledger.rows.Tables` in one transaction."""

    def __init__(self, connection: Connection, ledger: PostgresLedger) -> None:
        self._connection = connection
        self._ledger = ledger

    def columns(self, table: str) -> list[str]:
        with self._errors():
            rows = self._connection.execute(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_schema = 'main' AND table_name = %s ORDER BY ordinal_position",
                (table,),
            ).fetchall()
        return [str(name) for (name,) in rows]

    def stream(self, table: str, columns: Sequence[str], *, after: Row | None = None) -> Iterator[list[Row]]:
        keys = _names(TABLES[table])
        text = sql.SQL("SELECT {} FROM {} ").format(_names(columns), sql.Identifier(table))
        if after is not None:
            text += sql.SQL("WHERE ({}) > ({}) ").format(keys, sql.SQL(", ").join(map(sql.Literal, after)))
        text += sql.SQL("ORDER BY {}").format(keys)
        # A cursor of the server's: otherwise all rows of a table would come at once.
        with self._errors(), self._connection.cursor(name=f"copy_{table}") as cursor:
            cursor.execute(text)
            while rows := cursor.fetchmany(BATCH):
                yield rows

    def last_key(self, table: str) -> Row | None:
        keys = TABLES[table]
        order = sql.SQL(", ").join(sql.SQL("{} DESC").format(sql.Identifier(key)) for key in keys)
        text = sql.SQL("SELECT {} FROM {} ORDER BY {} LIMIT 1").format(_names(keys), sql.Identifier(table), order)
        with self._errors():
            return self._connection.execute(text).fetchone()

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        text = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), _names(columns))
        with self._errors(), self._connection.cursor() as cursor, cursor.copy(text) as copy:
            for row in rows:
                copy.write_row(row)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with storage_errors(self._ledger.location, timeout_seconds=self._ledger.timeout_seconds):
            yield


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


class PostgresRows:
    """`ledger.rows.RowLedger` in PostgreSQL. What is read is one moment, and nobody waits for it."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self._ledger = ledger

    @property
    def location(self) -> str:
        return self._ledger.location

    @property
    def exists(self) -> bool:
        return self._ledger.exists

    @contextmanager
    def reading(self) -> Iterator[tuple[Transaction, Tables]]:
        with self._ledger.read("copy") as tx:
            yield tx, PostgresTables(tx.connection, self._ledger)

    @contextmanager
    def writing(self) -> Iterator[tuple[Transaction, Tables]]:
        with self._ledger.write("copy") as tx:
            yield tx, PostgresTables(tx.connection, self._ledger)
