"""The SQL of the typed views, made from the tables' columns.

`make views` keeps it in ``ledger/sql/views/``, a file for each database, which a ledger reads when it is migrated.
"""

import re

from surgical_pipeline.dataset.columns import Column, Table
from surgical_pipeline.dataset.dialects.dialect import Dialect
from surgical_pipeline.dataset.dialects.duckdb import DuckDBDialect
from surgical_pipeline.dataset.dialects.postgres import PostgresDialect
from surgical_pipeline.dataset.schema import SCHEMA, TABLES
from surgical_pipeline.ledger import sql

_OTHER = re.compile(rf"\b{SCHEMA}\.(\w+)(?: AS (\w+))?")
_LIVE = f"SELECT * FROM {SCHEMA}.all_{{name}} WHERE deleted_at IS NULL"
_HEAD = """\
-- The typed views, which `make views` makes from surgical_pipeline/dataset/tables: do not change this file by
-- hand. They hold no data, and are made anew whenever a ledger is migrated.

"""

DIALECTS: tuple[Dialect, ...] = (DuckDBDialect(), PostgresDialect())


def views_sql(dialect: Dialect) -> str:
    """All views, in an order in which each finds what it refers to."""
    return "\n".join([_HEAD + sql.views_head(dialect.name), *(_views(table, dialect) for table in _in_order())])


def _in_order() -> list[Table]:
    return sorted(TABLES.values(), key=lambda table: table.computed)


def _views(table: Table, dialect: Dialect) -> str:
    name = f"{SCHEMA}.{table.name}"
    if table.computed:
        return _view(name, table, dialect.resolved(_from_all(sql.computed_views()[table.name])))
    if not table.deletable:
        return _view(name, table, _select(table, dialect))
    columns = ",\n".join(f'    "{column.name}"' for column in table.columns)
    live = f"SELECT\n{columns}\nFROM {SCHEMA}.all_{table.name}\nWHERE deleted_at IS NULL"
    everything = _view(f"{SCHEMA}.all_{table.name}", table, _select(table, dialect))
    return f"{everything}\n{_view(name, table, live)}"


def _from_all(select: str) -> str:
    """The same from the views of all rows, whose names come first: an exported database is imported by name."""
    return _OTHER.sub(lambda found: f"({_LIVE.format(name=found[1])}) AS {found[2] or found[1]}", select)


def _view(name: str, table: Table, select: str) -> str:
    return f"-- Each row: {table.rows}.\nCREATE VIEW {name} AS\n{select};\n"


def _select(table: Table, dialect: Dialect) -> str:
    columns = [f'    {_value(column, dialect)} AS "{column.name}"' for column in table.columns]
    if table.deletable:
        columns.append(f"    {table.deleted_at} AS deleted_at")
    record = dialect.resolved(table.record)
    selected = dialect.resolved(",\n".join(columns) + f"\nFROM @parsed({record})@ AS record")
    return f"SELECT\n{selected}\n{dialect.resolved(table.joins)}"


def _value(column: Column, dialect: Dialect) -> str:
    if column.sql:
        return column.sql
    value = f"{{{column.path}:{column.type.partition('[')[0]}}}"
    if column.otherwise:
        return dialect.first_filled(value, f"{{{column.otherwise}}}")
    return value
