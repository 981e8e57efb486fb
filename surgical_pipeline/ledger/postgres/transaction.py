"""One open transaction on PostgreSQL."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.open_transaction import OpenTransaction
from surgical_pipeline.ledger.postgres.connections import Connection
from surgical_pipeline.ledger.postgres.faults import storage_errors
from surgical_pipeline.ledger.postgres.statements import bare, statement
from surgical_pipeline.ledger.postgres.turns import BEFORE
from surgical_pipeline.ledger.postgres.values import storable

if TYPE_CHECKING:
    from numpy.typing import NDArray

BY_PGVECTOR = {"rank_by_meaning": "rank_by_meaning_by_pgvector"}
"""Queries that have another form with the extension pgvector. Vectors are stored in the same way without it."""


class PostgresTransaction(OpenTransaction):
    """`ledger.protocol.Transaction` over a connection whose transaction is open.

    ``shown``: the ledger's address without its password. ``views``: whether there are typed views. ``writes``:
    whether it may take turns and lock rows.
    """

    def __init__(
        self,
        connection: Connection,
        shown: str,
        *,
        now: datetime,
        views: bool,
        writes: bool,
        timeout_seconds: float,
    ) -> None:
        super().__init__(now)
        self._views = views
        self._connection = connection
        self._shown = shown
        self._writes = writes
        self._timeout_seconds = timeout_seconds
        self._has_turn: str | None = None

    @property
    def connection(self) -> Connection:
        """For what handles the ledger as a whole; all else has named queries."""
        return self._connection

    def arrow(self, text: str, params: Mapping[str, Any], /) -> Any:
        if not self._views:
            raise LedgerError(
                f"The ledger {self._shown} has no typed tables yet, an older version of this program made it: "
                "the next sync makes them."
            )
        from surgical_pipeline.ledger.postgres.arrow import read  # noqa: PLC0415  pyarrow, only where it is used

        with storage_errors(self._shown, timeout_seconds=self._timeout_seconds):
            self._connection.execute(bare("search_typed_views_first"))
            return read(self._connection, text, params)

    def insert_vectors(self, query_name: str, vectors: "NDArray[Any]", /, **params: Any) -> None:
        """As texts of arrays; nine digits distinguish every float32."""
        template = f"{{{','.join(['%.9g'] * vectors.shape[1])}}}"
        self.execute(query_name, vector=[template % tuple(row) for row in vectors.tolist()], **params)

    def wait_for_turn(self, query_name: str, /, **params: Any) -> None:
        with storage_errors(self._shown, timeout_seconds=self._timeout_seconds):
            self._take_turns(query_name, storable(params))
        self._has_turn = query_name

    def _take_turns(self, query_name: str, given: dict[str, Any]) -> None:
        """Those of a query, unless they were taken just now."""
        if self._writes and self._has_turn != query_name:
            for before in BEFORE.get(query_name, ()):
                self._connection.execute(statement(before.query), {**given, **before.params})
        self._has_turn = None

    def _run(self, query_name: str, params: dict[str, Any]) -> tuple[list[str], list[tuple[Any, ...]]]:
        given = storable(params)
        with storage_errors(self._shown, timeout_seconds=self._timeout_seconds):
            self._take_turns(query_name, given)
            cursor = self._connection.execute(statement(self._quickest(query_name)), given)
            if cursor.description is None:
                return [], []
            return [column.name for column in cursor.description], cursor.fetchall()

    def _quickest(self, query_name: str) -> str:
        """Another query of the same result, where the server has an extension for that."""
        if query_name in BY_PGVECTOR and self._connection.execute(bare("use_pgvector")).fetchone():
            return BY_PGVECTOR[query_name]
        return query_name
