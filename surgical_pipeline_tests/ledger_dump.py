"""Reading a ledger with plain DuckDB, as somebody outside this project would."""

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
        return {table: _rows(connection, table, with_run_columns=with_run_columns) for table in CONTENT_TABLES}


def query(path: Path, sql: str) -> list[Row]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def _rows(connection: duckdb.DuckDBPyConnection, table: str, *, with_run_columns: bool) -> list[Row]:
    columns = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
    kept = [column for column in columns if with_run_columns or column not in RUN_COLUMNS]
    rows = connection.execute(f"SELECT {', '.join(kept)} FROM {table} ORDER BY ALL").fetchall()
    return [tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in rows]
