"""What a table that others read is made of: its columns with type and meaning, and where their values come from.

The views in the ledger, the published copy, the DataFrames' dtypes and docs/data.md are all made from these.
"""

from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """Each with DuckDB's name for it."""

    TEXT = "VARCHAR"
    INTEGER = "BIGINT"
    NUMBER = "DOUBLE"
    BOOLEAN = "BOOLEAN"
    TIME = "TIMESTAMPTZ"
    DAY = "DATE"
    TEXTS = "VARCHAR[]"
    VECTOR = "FLOAT[]"

    @property
    def anywhere(self) -> str:
        """A name that PostgreSQL understands, too."""
        return _ANYWHERE.get(self, str(self))


_ANYWHERE = {
    ColumnType.TEXT: "TEXT",
    ColumnType.NUMBER: "DOUBLE PRECISION",
    ColumnType.TEXTS: "TEXT[]",
    ColumnType.VECTOR: "REAL[]",
}


@dataclass(frozen=True, slots=True)
class Column:
    """``path``: where the value is in GitLab's answer, such as ``author.username``.

    ``assignees[].username`` is a list, ``labels[name]`` one of texts or of objects with a name. ``otherwise``:
    where it is in answers of servers that lack ``path``. ``sql``: how to get it instead, from ``record``,
    ``entity`` and ``project``. Missing, null and malformed values are NULL.
    """

    name: str
    type: ColumnType
    meaning: str
    path: str = ""
    otherwise: str = ""
    sql: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """``rows``: what a row is. ``record``: the ledger's table or subquery with one record for each row.

    ``joins``: what else the columns' SQL refers to. ``deleted_at``: SQL of when the row was deleted; without it,
    rows never are. ``hidden``: SQL, over the table's own columns, of rows that not everybody in GitLab may see.
    ``computed``: made from other views, by the SQL of its name in ``ledger/sql/views/computed.sql``.
    """

    name: str
    rows: str
    columns: tuple[Column, ...]
    record: str = ""
    joins: str = ""
    deleted_at: str = ""
    hidden: str = ""
    computed: bool = False

    @property
    def deletable(self) -> bool:
        """Whether there is also a view ``all_<name>`` with deleted rows and their ``deleted_at``."""
        return bool(self.deleted_at)


def text(path: str, meaning: str, *, sql: str = "", name: str = "") -> Column:
    """A field of GitLab's; its column is named like its path, with underscores."""
    return Column(name or named(path), ColumnType.TEXT, meaning, path=path, sql=sql)


def integer(path: str, meaning: str, *, sql: str = "", name: str = "") -> Column:
    return Column(name or named(path), ColumnType.INTEGER, meaning, path=path, sql=sql)


def boolean(path: str, meaning: str, *, sql: str = "") -> Column:
    return Column(named(path), ColumnType.BOOLEAN, meaning, path=path, sql=sql)


def time(path: str, meaning: str, *, sql: str = "") -> Column:
    return Column(named(path), ColumnType.TIME, meaning, path=path, sql=sql)


def day(path: str, meaning: str) -> Column:
    return Column(named(path), ColumnType.DAY, meaning, path=path)


def texts(path: str, meaning: str, *, otherwise: str = "") -> Column:
    """A list; its column is named like the list."""
    return Column(path.partition("[")[0], ColumnType.TEXTS, meaning, path=path, otherwise=otherwise)


def derived(name: str, kind: ColumnType, meaning: str, *, sql: str = "") -> Column:
    """A value that no field of GitLab's has as it is."""
    return Column(name, kind, meaning, sql=sql)


def own(kind: ColumnType, name: str, meaning: str) -> Column:
    """A column of the ledger's table, as it is."""
    return Column(name, kind, meaning, sql=f"CAST(record.{name} AS {kind})")


def named(path: str) -> str:
    return path.replace(".", "_")
