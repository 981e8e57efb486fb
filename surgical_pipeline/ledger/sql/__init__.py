"""The named queries and the migrations of this folder, read once on first use.

What the databases share stands in this folder; what only one of them has, or says in its own way, in a folder of
its name: a query or migration of the same name there takes the place of the shared one.

A query begins with two comment lines, its name and what it does::

    -- name: find_thing
    -- The thing of that id, or no row.
    SELECT …

Parameters are written ``$name``. A query ends where the next name begins.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType

_BLOCK = re.compile(r"(?P<name>\w+)\n-- (?P<description>.+)\n(?P<text>\s*[^-\s](?:.|\n)*)")
_MIGRATION = re.compile(r"(\d{4})_(\w+)\.sql")
_OLDEST_PROGRAM = re.compile(r"^-- oldest program: (\d+)$", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Query:
    name: str
    description: str
    text: str


@dataclass(frozen=True, slots=True)
class Migration:
    """``version``: 1, 2, 3, … without a gap; the file's number."""

    version: int
    name: str
    text: str

    @property
    def oldest_program(self) -> int:
        """The version that a program must know at least to use a ledger after this; by itself this one."""
        stated = _OLDEST_PROGRAM.search(self.text)
        return int(stated[1]) if stated else self.version


@cache
def queries(database: str = "duckdb") -> Mapping[str, Query]:
    """All named queries as that database takes them, with parameters written ``$name``.

    Raises:
        ValueError: a file holds SQL outside a named query, or two queries of one folder share a name.
    """
    here = resources.files(__name__)
    return MappingProxyType(_queries_in(here) | _queries_in(here / database))


def _queries_in(folder: Traversable) -> dict[str, Query]:
    found: dict[str, Query] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            for query in parse(file.read_text(encoding="utf-8")):
                if query.name in found:
                    raise ValueError(f"two queries are named {query.name}")
                found[query.name] = query
    return found


def query(name: str) -> Query:
    """The query of that name, for DuckDB.

    Raises:
        KeyError: there is none.
    """
    return queries()[name]


def parse(text: str) -> tuple[Query, ...]:
    """The queries of one file.

    Raises:
        ValueError: anything but comments stands before the first name, or a name has no description or no SQL.
    """
    head, *blocks = re.split(r"^-- name: ", text, flags=re.MULTILINE)
    if any(line and not line.startswith("--") for line in head.splitlines()):
        raise ValueError("SQL stands before the first '-- name: …'")
    return tuple(_parse_block(block) for block in blocks)


def _parse_block(block: str) -> Query:
    match = _BLOCK.fullmatch(block)
    if match is None:
        raise ValueError(f"a query is a name, a line of description and SQL, not {block[:60]!r}")
    return Query(match["name"], match["description"], match["text"].strip())


VIEWS_SINCE = 7
"""The schema's version from which on a ledger has the typed views."""


@cache
def views(database: str = "duckdb") -> str:
    """The typed views in the SQL of that database; they are made anew after migrations."""
    return (resources.files(__name__) / "views" / f"{database}.sql").read_text(encoding="utf-8")


@cache
def views_head(database: str) -> str:
    """What comes before the views in that file: their schema, without views, and what they use."""
    return (resources.files(__name__) / "views" / f"{database}_head.sql").read_text(encoding="utf-8")


@cache
def computed_views() -> Mapping[str, str]:
    """What typed views select that are computed from others, by name."""
    text = (resources.files(__name__) / "views" / "computed.sql").read_text(encoding="utf-8")
    return MappingProxyType({query.name: query.text.removesuffix(";") for query in parse(text)})


@cache
def migrations(database: str = "duckdb") -> tuple[Migration, ...]:
    """All migrations in order of version, as that database takes them."""
    here = resources.files(__name__)
    found = _migrations_in(here / "migrations") | _migrations_in(here / database / "migrations")
    return tuple(found[version] for version in sorted(found))


def _migrations_in(folder: Traversable) -> dict[int, Migration]:
    if not folder.is_dir():
        return {}
    return {
        int(match[1]): Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if (match := _MIGRATION.fullmatch(file.name))
    }


@cache
def indexes(database: str = "postgres") -> str:
    """Indexes that only this database needs; they are made after migrations where they are missing."""
    return (resources.files(__name__) / database / "schema" / "indexes.sql").read_text(encoding="utf-8")
