"""Reading a ledger with plain DuckDB or psycopg, as somebody outside this project would."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg.types.string import TextLoader

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.protocol import Ledger

CONTENT_TABLES = (
    "projects",
    "issues",
    "merge_requests",
    "discussions",
    "notes",
    "resource_events",
    "issue_links",
    "issue_closed_by",
    "merge_request_commits",
    "merge_request_diffs",
    "merge_request_closes_issues",
    "merge_request_approvals",
    "award_emoji",
    "documents",
    "embeddings",
)
RUN_COLUMNS = {"run_id", "fetched_at", "missed_run_id", "embedded_at"}
"""Which run wrote a row, and when: they change though the content does not."""

Row = tuple[object, ...]
Ask = Callable[[str], list[Row]]


def content_of(place: Path | Ledger, *, with_run_columns: bool = False) -> dict[str, list[Row]]:
    """Every row of every content table, ordered."""
    with _asking(place) as ask:
        return {table: _rows(ask, table, with_run_columns=with_run_columns) for table in CONTENT_TABLES}


def query(place: Path | Ledger, sql: str) -> list[Row]:
    """Of a file, or of a ledger wherever it is: then in the SQL that both databases understand. JSON is text."""
    with _asking(place) as ask:
        return ask(sql)


def setting_of(ledger: Ledger) -> str:
    """What SURGICAL_LEDGER is for it, with the password."""
    return ledger.address.text if isinstance(ledger, PostgresLedger) else ledger.location


@contextmanager
def _asking(place: Path | Ledger) -> Iterator[Ask]:
    if isinstance(place, PostgresLedger):
        parameters: dict[str, Any] = place.address.parameters
        with closing(psycopg.connect(**parameters, autocommit=True)) as server:
            server.adapters.register_loader("json", TextLoader)
            server.execute("SET search_path = main")
            server.execute("SET TimeZone = 'UTC'")
            yield lambda sql: server.execute(sql.encode()).fetchall()
        return
    path = place.path if isinstance(place, DuckDBLedger) else place
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield lambda sql: connection.execute(sql).fetchall()


def _rows(ask: Ask, table: str, *, with_run_columns: bool) -> list[Row]:
    columns = ask(
        "SELECT column_name FROM information_schema.columns "
        f"WHERE table_schema = 'main' AND table_name = '{table}' ORDER BY ordinal_position"
    )
    kept = [str(column) for (column,) in columns if with_run_columns or column not in RUN_COLUMNS]
    rows = ask(f"SELECT {', '.join(kept)} FROM {table}")
    return sorted((tuple(map(_hashable, row)) for row in rows), key=repr)


def _hashable(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
