"""The named queries in PostgreSQL's form: parameters ``%(name)s``, and text without a length."""

import re
from functools import cache

from surgical_pipeline.ledger import sql

DATABASE = "postgres"

_PARAMETER = re.compile(r"\$([a-z_]\w*)")
_TEXT = re.compile(r"\bVARCHAR\b")
_TEXT_COLUMN = re.compile(r"^(\s+\w+\s+|.*\bADD COLUMN \w+ )VARCHAR\b(?!\[)", flags=re.MULTILINE)
_VECTOR_COLUMN = re.compile(r"^(\s+\w+\s+)FLOAT\[\]", flags=re.MULTILINE)


@cache
def statement(name: str) -> str:
    """The text of a named query.

    Raises:
        KeyError: there is none.
    """
    return as_statement(sql.queries(DATABASE)[name].text)


def as_statement(text: str) -> str:
    """SQL as it stands in our files, in PostgreSQL's form."""
    return _PARAMETER.sub(r"%(\1)s", _TEXT.sub("TEXT", text).replace("%", "%%"))


def bare(name: str) -> str:
    """The text of a query without parameters, as it goes to the server."""
    return sql.queries(DATABASE)[name].text


def table_text(migration: str) -> str:
    """A migration's text. Text is ordered by its bytes, as on DuckDB and whatever the database's locale is.

    Vectors have four bytes a number, on DuckDB called FLOAT.
    """
    text = _TEXT_COLUMN.sub(r'\1TEXT COLLATE "C"', migration)
    return _TEXT.sub("TEXT", _VECTOR_COLUMN.sub(r"\1REAL[]", text))
