"""Reading a ledger with plain DuckDB, as somebody outside this project would."""

from collections.abc import Callable
from pathlib import Path

import duckdb

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


def content_of(path: Path, *, with_run_columns: bool = False) -> dict[str, list[Row]]:
    """Every row of every content table, ordered."""
    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return content_in(lambda sql: connection.execute(sql).fetchall(), with_run_columns=with_run_columns)


def content_in(ask: Callable[[str], list[Row]], *, with_run_columns: bool = False) -> dict[str, list[Row]]:
    """The same of any database; ``ask`` gives the rows of a query."""
    return {table: _rows(ask, table, with_run_columns=with_run_columns) for table in CONTENT_TABLES}


def query(path: Path, sql: str) -> list[Row]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def _rows(ask: Callable[[str], list[Row]], table: str, *, with_run_columns: bool) -> list[Row]:
    columns = ask(
        "SELECT column_name FROM information_schema.columns "
        f"WHERE table_schema = 'main' AND table_name = '{table}' ORDER BY ordinal_position"
    )
    kept = [str(column) for (column,) in columns if with_run_columns or column not in RUN_COLUMNS]
    rows = ask(f"SELECT {', '.join(kept)} FROM {table}")
    return sorted((tuple(map(_hashable, row)) for row in rows), key=repr)


def _hashable(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
