"""One open transaction on the ledger, through which every query goes by its name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.duckdb.faults import storage_errors
from surgical_pipeline.ledger.sql import query


class Transaction:
    """``now``: when the window began, in UTC; one moment for all that is written in it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, *, now: datetime) -> None:
        self._connection = connection
        self._path = path
        self._undo: list[Callable[[], None]] = []
        self.now = now

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """Have ``undo`` take back what an object remembers as written, should the window not be committed."""
        self._undo.append(undo)

    def forget(self) -> None:
        """The window was rolled back: undo what was remembered, the latest first."""
        while self._undo:
            self._undo.pop()()

    def execute(self, query_name: str, /, **params: Any) -> list[tuple[Any, ...]]:
        """Run a named query and give all its rows.

        Args:
            query_name: as written in ``ledger/sql/*.sql``.
            **params: exactly the query's ``$name`` parameters; columns as sequences of one length.

        Raises:
            KeyError: no such query.
            LedgerError: the disk is full, the file damaged, …
        """
        return self._run(query_name, params)[1]

    def rows(self, query_name: str, /, **params: Any) -> list[dict[str, Any]]:
        """Like ``execute``, each row as a dict by column name."""
        names, rows = self._run(query_name, params)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def column(self, query_name: str, /, **params: Any) -> list[Any]:
        """Like ``execute``, the first value of each row."""
        return [row[0] for row in self.execute(query_name, **params)]

    def _run(self, query_name: str, params: dict[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        with storage_errors(self._path):
            result = self._connection.execute(query(query_name).text, params)
            return [column[0] for column in result.description or ()], result.fetchall()


def columns(rows: Sequence[Sequence[Any]], *names: str) -> dict[str, list[Any]]:
    """Rows turned into one list for each name, as ``unnest($name::TYPE[])`` takes them."""
    return {name: [row[position] for row in rows] for position, name in enumerate(names)}


def key_columns(keys: Iterable[EntityKey]) -> dict[str, list[Any]]:
    """Entities as the parameters ``$entity_types`` and ``$iids``."""
    return columns([(str(key.entity_type), key.iid) for key in keys], "entity_types", "iids")


def key_of(row: Mapping[str, Any]) -> EntityKey:
    """The entity that a row with ``entity_type`` and ``iid`` belongs to."""
    return EntityKey(EntityType(row["entity_type"]), row["iid"])
