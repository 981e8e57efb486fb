"""Migrations that a later program might have: one that today's goes on after, and one that it stops after."""

import re

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.protocol import Ledger

KNOWN = sql.migrations()[-1].version

_TABLE = re.compile(r"^CREATE TABLE (\w+)", flags=re.MULTILINE)


def expansion(*, version: int = KNOWN + 1, oldest_program: int = KNOWN) -> sql.Migration:
    """Every table gets one more column, and there is one more table and one more index."""
    columns = [f"ALTER TABLE {table} ADD COLUMN of_later_{version} VARCHAR DEFAULT 'later';" for table in tables()]
    text = [
        f"-- oldest program: {oldest_program}",
        *columns,
        f"CREATE TABLE of_later_{version} (thing_id BIGINT PRIMARY KEY, run_id VARCHAR NOT NULL);",
        f"CREATE INDEX idx_of_later_{version} ON notes (author);",
    ]
    return sql.Migration(version, "expansion", "\n".join(text))


def contraction(*, version: int = KNOWN + 1) -> sql.Migration:
    """A column has another name."""
    text = f"-- oldest program: {version}\nALTER TABLE hook_deliveries RENAME COLUMN told_at TO told_at_{version};"
    return sql.Migration(version, "contraction", text)


def tables() -> list[str]:
    """Those that both databases have, but for the record of migrations."""
    each = [
        {table for one in sql.migrations(database) for table in _TABLE.findall(one.text)}
        for database in ("duckdb", "postgres")
    ]
    return sorted(set.intersection(*each) - {"schema_migrations"})


def newer(ledger: Ledger, *later: sql.Migration) -> Ledger:
    """The ledger as a program with later migrations has it."""
    if isinstance(ledger, PostgresLedger):
        return PostgresLedger(ledger.address, migrations=(*ledger.schema, *later))
    assert isinstance(ledger, DuckDBLedger)
    return DuckDBLedger(ledger.path, migrations=(*ledger.schema, *later))
