"""What every dialect does in the same way: find the placeholders in the tables' SQL, and have them filled in.

There are two kinds. ``{path:TYPE}`` is the value at that path in GitLab's answer; a path with ``[]`` is a list of
texts. ``@name(one; two)@`` calls a method of the dialect. ``main.`` is where the ledger's own tables are.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from surgical_pipeline.dataset.columns import ColumnType

_VALUE = re.compile(r"\{([a-z_]+(?:\[[a-z]*\])?(?:\.[a-z_]+)*)(?::([A-Z]+))?\}")
_LIST = re.compile(r"([a-z_]+)\[([a-z]*)\](?:\.([a-z_.]+))?")
_CALL = re.compile(r"@(\w+)\((.*?)\)@", flags=re.DOTALL)

JSON = "JSON"
"""The type of a value that is taken apart further."""


class Dialect(ABC):
    """How one database gets typed values out of a payload: all that differs between databases."""

    name: str
    """Of the file in ``ledger/sql/views/``."""
    base = "main"

    def resolved(self, sql: str) -> str:
        """SQL with its placeholders filled in, where one payload's values come from one ``@parsed(…)@``."""
        values = [(path, kind or ColumnType.TEXT) for path, kind in _VALUE.findall(sql)]

        def call(found: re.Match[str]) -> str:
            arguments = found[2].split("; ")
            if found[1] == "parsed":
                return self.parsed(found[2], values)
            return str(getattr(self, found[1])(*arguments))

        filled = _CALL.sub(call, sql)
        filled = _VALUE.sub(lambda found: self.value(found[1], found[2] or ColumnType.TEXT), filled)
        return re.sub(r"\bmain\.", f"{self.base}.", filled)

    @abstractmethod
    def value(self, path: str, kind: str) -> str:
        """The value at a path; NULL if it is missing, null or cannot be of the type that was asked for."""

    @abstractmethod
    def parsed(self, record: str, values: Iterable[tuple[str, str]]) -> str:
        """A subquery: the records, with the values of their payload."""

    @abstractmethod
    def first_filled(self, texts: str, single: str) -> str:
        """A list of texts; where it is empty or missing, the single text as a list, if there is one."""

    @abstractmethod
    def elements(self, listed: str, single: str) -> str:
        """A row for each element of a list in the payload, or for the one object there was in its place before."""

    @abstractmethod
    def text(self, payload: str) -> str:
        """The text that a payload is; NULL if it is an object."""

    @abstractmethod
    def count(self, text: str, pattern: str) -> str:
        """How many lines match."""

    @abstractmethod
    def earliest(self, texts: str) -> str:
        """The first of the times that texts say."""

    @abstractmethod
    def messages(self, listed: str) -> str:
        """The messages of a JSON list of objects."""


def structure(values: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Which types are asked for: nested as the payload is. A list has the type of its elements as its only one."""
    found: dict[str, Any] = {}
    for path, kind in values:
        listed = _LIST.fullmatch(path)
        if listed is None:
            _put(found, path, kind)
        elif listed[2]:
            found[listed[1]] = [JSON]
        elif listed[3]:
            (element,) = found.setdefault(listed[1], [{}])
            _put(element, listed[3], kind)
        else:
            found[listed[1]] = [kind]
    return found


def _put(found: dict[str, Any], path: str, kind: str) -> None:
    *outer, last = path.split(".")
    for name in outer:
        found = found.setdefault(name, {})
    found[last] = str(kind)


def list_path(path: str) -> tuple[str, str, list[str]]:
    """Of a path with ``[]``: the list's name, the name between the brackets, and the steps within an element."""
    listed, _, rest = path.partition("[")
    name, _, inner = rest.partition("]")
    return listed, name, [step for step in inner.split(".") if step]
