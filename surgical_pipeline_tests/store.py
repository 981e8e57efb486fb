"""What a ledger holds, read by somebody outside this project: the same questions to either database."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import psycopg

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.ledger_dump import Row, content_in, content_of, query
from surgical_pipeline_tests.postgres_server import PostgresServer


class Store(Protocol):
    """``setting``: what SURGICAL_LEDGER is for it."""

    @property
    def setting(self) -> str: ...

    @property
    def ledger(self) -> Ledger: ...

    def query(self, sql: str) -> list[Row]:
        """In the SQL that both databases understand; JSON comes as text."""
        ...

    def content(self, *, with_run_columns: bool = False) -> dict[str, list[Row]]:
        """Every row of every content table, ordered."""
        ...


@dataclass(frozen=True)
class FileStore:
    path: Path

    @property
    def setting(self) -> str:
        return str(self.path)

    @property
    def ledger(self) -> DuckDBLedger:
        return DuckDBLedger(self.path)

    def query(self, sql: str) -> list[Row]:
        return query(self.path, sql)

    def content(self, *, with_run_columns: bool = False) -> dict[str, list[Row]]:
        return content_of(self.path, with_run_columns=with_run_columns)


@dataclass(frozen=True)
class DatabaseStore:
    server: PostgresServer
    database: str

    @property
    def setting(self) -> str:
        return self.server.url(self.database)

    @property
    def ledger(self) -> PostgresLedger:
        return self.server.ledger(self.database)

    def query(self, sql: str) -> list[Row]:
        with self._connected() as connection:
            return _asked(connection, sql)

    def content(self, *, with_run_columns: bool = False) -> dict[str, list[Row]]:
        with self._connected() as connection:
            return content_in(partial(_asked, connection), with_run_columns=with_run_columns)

    @contextmanager
    def _connected(self) -> Iterator["psycopg.Connection[Row]"]:
        with closing(psycopg.connect(self.setting, autocommit=True)) as connection:
            connection.adapters.register_loader("json", psycopg.types.string.TextLoader)
            connection.execute("SET search_path = main")
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


def _asked(connection: "psycopg.Connection[Any]", sql: str) -> list[Row]:
    return connection.execute(sql.encode()).fetchall()
