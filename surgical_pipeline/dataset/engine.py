"""DuckDB as readers need it: a published file is made and opened here, and wrong SQL told in our words.

The ledger's own file is opened in ``ledger/duckdb/`` alone.
"""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from surgical_pipeline.dataset.errors import DatasetError
from surgical_pipeline.dataset.schema import SCHEMA
from surgical_pipeline.dataset.versions import DATABASE, PARQUET
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.interruptions import interruptions
from surgical_pipeline.ledger.standing import Standing

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    # Names in a reader's SQL are tables, and never variables of the program that happen to have that name.
    "python_enable_replacements": "false",
}


@contextmanager
def reading_errors() -> Iterator[None]:
    """What DuckDB says of a reader's SQL, as a DatasetError."""
    try:
        with interruptions():
            yield
    except duckdb.Error as error:
        raise DatasetError(str(error).strip()) from error


def check_reads_only(text: str) -> None:
    """A reader's SQL is one statement that gives rows.

    Raises:
        DatasetError: it is none, several, or changes something.
    """
    with reading_errors():
        statements = duckdb.extract_statements(text)
    if len(statements) != 1:
        raise DatasetError(f"Give one statement, not {len(statements)}")
    if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise DatasetError("Only queries can be run: SELECT, WITH, FROM, DESCRIBE, SUMMARIZE, SHOW, EXPLAIN")


class PublishedFile:
    """One published database, open for reading until it is closed. Threads may share it.

    It is attached to a DuckDB of its own: a second DuckDB on the same path would otherwise give the first one's
    file, even if another has taken its place.
    """

    def __init__(self, path: Path) -> None:
        self._connection = duckdb.connect(config=CONFIG)
        try:
            self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
            self._connection.execute(f"ATTACH $path AS {SCHEMA} (READ_ONLY)", {"path": str(path)})
            self._connection.execute(f"USE {SCHEMA}")
        except duckdb.Error as error:
            self._connection.close()
            if not path.exists():
                raise FileNotFoundError(path) from error
            raise DatasetError(f"{path} cannot be read: {str(error).partition(chr(10))[0]}") from error

    def arrow(self, text: str, params: Mapping[str, Any]) -> Any:
        """The rows as a ``pyarrow.Table``."""
        cursor = self._connection.cursor()
        try:
            with reading_errors():
                cursor.execute(f"USE {SCHEMA}")
                return cursor.sql(text, params=dict(params)).to_arrow_table()
        finally:
            cursor.close()

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Built:
    """``rows``: of each table."""

    standing: Standing
    rows: Mapping[str, int]


def build_published(ledger: Path, version: Path, tables: Mapping[str, str]) -> Built:
    """Make the database and the Parquet files of a version from a copy of the ledger, which nobody else has open.

    Args:
        ledger: the copy.
        version: the folder to fill, empty but for the copy.
        tables: the name of each table with the condition of the rows that are published; empty: all. Computed
            tables come after those that they are computed from.

    Raises:
        duckdb.Error, OSError: they cannot be written.
    """
    database, rows = version / DATABASE, {}
    spill = {"temp_directory": str(version / "spilled")}
    with contextlib.closing(duckdb.connect(config=CONFIG | spill)) as connection:
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        connection.execute("ATTACH $path AS ledger (READ_ONLY)", {"path": str(ledger)})
        connection.execute("ATTACH $path AS published", {"path": str(database)})
        connection.execute("USE ledger")
        found = connection.execute(sql.query("read_standing").text)
        names = [column[0] for column in found.description or ()]
        standing = Standing.from_row(dict(zip(names, found.fetchall()[0], strict=True)))
        for name, condition in tables.items():
            made = connection.execute(f'CREATE TABLE published.main."{name}" AS {_selected(name, condition)}')
            rows[name] = int(made.fetchall()[0][0])
            target = version / PARQUET / name
            target.mkdir(parents=True)
            connection.execute(
                f"COPY published.main.\"{name}\" TO '{_escaped(target / f'{name}.parquet')}' "
                "(FORMAT parquet, COMPRESSION zstd)"
            )
        connection.execute("CHECKPOINT published")
        connection.execute("DETACH published")
    return Built(standing, rows)


def _selected(name: str, condition: str) -> str:
    """The rows of a table; of a computed one from those published so far, among which nothing hidden is."""
    computed = sql.computed_views().get(name)
    if computed is None:
        return f'SELECT * FROM {SCHEMA}."{name}"' + (f" WHERE {condition}" if condition else "")
    return computed.replace("main.", "ledger.main.").replace(f"{SCHEMA}.", "published.main.")


def _escaped(path: Path) -> str:
    """As it stands between quotation marks."""
    return str(path).replace("'", "''")


@contextmanager
def building_errors() -> Iterator[None]:
    """What DuckDB says when a version cannot be made, such as a full disk, as an OSError."""
    try:
        with interruptions():
            yield
    except duckdb.Error as error:
        raise OSError(str(error).partition("\n")[0].rstrip(".")) from error
