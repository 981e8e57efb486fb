"""One open transaction on the DuckDB file."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from surgical_pipeline.ledger.duckdb.faults import storage_errors
from surgical_pipeline.ledger.open_transaction import OpenTransaction
from surgical_pipeline.ledger.sql import query

if TYPE_CHECKING:
    from numpy.typing import NDArray

_VECTORS = "given_vectors"
_PARSED: dict[str, duckdb.Statement] = {}
"""By the query's name. DuckDB takes a third of a small statement's time to parse it."""


class DuckDBTransaction(OpenTransaction):
    """`ledger.protocol.Transaction` over a connection whose transaction is open."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, *, now: datetime) -> None:
        super().__init__(now)
        self._connection = connection
        self._path = path

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """For what handles the ledger as a whole; all else has named queries."""
        return self._connection

    def arrow(self, text: str, params: Mapping[str, Any], /) -> Any:
        with storage_errors(self._path):
            self._connection.execute(query("search_typed_views_first").text)
            return self._connection.sql(text, params=dict(params)).to_arrow_table()

    def insert_vectors(self, query_name: str, vectors: "NDArray[Any]", /, **params: Any) -> None:
        """Give DuckDB the numbers as columns of an array: as texts or lists they take it ten times as long."""
        import numpy as np  # noqa: PLC0415  whoever has vectors has imported it

        rows, dimension = vectors.shape
        given = {
            "row": np.repeat(np.arange(rows, dtype=np.int32), dimension),
            "place": np.tile(np.arange(dimension, dtype=np.int32), rows),
            "value": vectors.ravel(),
        }
        with storage_errors(self._path):
            self._connection.register(_VECTORS, given)
        self.execute(query_name, **params)
        with storage_errors(self._path):
            self._connection.unregister(_VECTORS)

    def wait_for_turn(self, query_name: str, /, **params: Any) -> None:
        """Nobody else can write: the window has the file."""

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
