"""One open transaction on the DuckDB file."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from surgical_pipeline.ledger.duckdb.faults import storage_errors
from surgical_pipeline.ledger.sql import query

_PARSED: dict[str, duckdb.Statement] = {}
"""By the query's name. DuckDB takes a third of a small statement's time to parse it."""


class DuckDBTransaction:
    """`ledger.protocol.Transaction` over a connection whose transaction is open."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, *, now: datetime) -> None:
        self._connection = connection
        self._path = path
        self._last: list[Callable[[], None]] = []
        self._undo: list[Callable[[], None]] = []
        self._now = now

    @property
    def now(self) -> datetime:
        return self._now

    def before_commit(self, work: Callable[[], None]) -> None:
        self._last.append(work)

    def complete(self) -> None:
        """The block has ended: call what waited for that, in order."""
        while self._last:
            self._last.pop(0)()

    def on_rollback(self, undo: Callable[[], None]) -> None:
        self._undo.append(undo)

    def committed(self) -> None:
        """Drop the undos: what they refer to may refer to this, and would stay until garbage is collected."""
        self._undo.clear()

    def forget(self) -> None:
        """The window was rolled back: call the remembered undos, the latest first."""
        while self._undo:
            self._undo.pop()()

    def execute(self, query_name: str, /, **params: Any) -> list[tuple[Any, ...]]:
        return self._run(query_name, params)[1]

    def rows(self, query_name: str, /, **params: Any) -> list[dict[str, Any]]:
        names, rows = self._run(query_name, params)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def column(self, query_name: str, /, **params: Any) -> list[Any]:
        return [row[0] for row in self.execute(query_name, **params)]

    def arrow(self, text: str, params: Mapping[str, Any], /) -> Any:
        with storage_errors(self._path):
            self._connection.execute(query("search_typed_views_first").text)
            return self._connection.sql(text, params=dict(params)).to_arrow_table()

    def _run(self, query_name: str, params: dict[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        with storage_errors(self._path):
            result = self._connection.execute(_parsed(self._connection, query_name), params)
            return [column[0] for column in result.description or ()], result.fetchall()


def _parsed(connection: duckdb.DuckDBPyConnection, query_name: str) -> duckdb.Statement:
    """The query, parsed once for all connections of this process; each execution takes a copy of it."""
    known = _PARSED.get(query_name)
    if known is None:
        [known] = connection.extract_statements(query(query_name).text)
        _PARSED[query_name] = known
    return known
