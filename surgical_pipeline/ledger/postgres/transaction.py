"""One open transaction on PostgreSQL."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.postgres.connections import Connection
from surgical_pipeline.ledger.postgres.faults import storage_errors
from surgical_pipeline.ledger.postgres.statements import statement
from surgical_pipeline.ledger.postgres.turns import BEFORE
from surgical_pipeline.ledger.postgres.values import storable


class PostgresTransaction:
    """`ledger.protocol.Transaction` over a connection whose transaction is open.

    ``shown``: the ledger's address without its password. ``writes``: whether it may take turns and lock rows.
    """

    def __init__(
        self, connection: Connection, shown: str, *, now: datetime, writes: bool, timeout_seconds: float
    ) -> None:
        self._connection = connection
        self._shown = shown
        self._writes = writes
        self._timeout_seconds = timeout_seconds
        self._last: list[Callable[[], None]] = []
        self._undo: list[Callable[[], None]] = []
        self._now = now

    @property
    def connection(self) -> Connection:
        """For what handles the ledger as a whole; all else has named queries."""
        return self._connection

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
        del text, params
        raise LedgerError(
            f"The ledger {self._shown} is in PostgreSQL, which does not have the typed tables: publish a copy "
            "(SURGICAL_PUBLISH) or make one with `surgical-pipeline ledger copy`, and read that."
        )

    def _run(self, query_name: str, params: dict[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        given = storable(params)
        with storage_errors(self._shown, timeout_seconds=self._timeout_seconds):
            if self._writes:
                for before in BEFORE.get(query_name, ()):
                    self._connection.execute(statement(before.query), {**given, **before.params})
            cursor = self._connection.execute(statement(query_name), given)
            if cursor.description is None:
                return [], []
            return [column.name for column in cursor.description], cursor.fetchall()
