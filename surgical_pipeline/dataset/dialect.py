r"""How DuckDB gets typed values out of a payload: all that differs between databases.

The tables' SQL has two kinds of placeholders. ``{path:TYPE}`` is the value at that path in GitLab's answer; a
path with ``[]`` is a list of texts. ``@name(one; two)@`` calls a function of the dialect. ``main.`` is where the
ledger's own tables are.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from surgical_pipeline.dataset.columns import ColumnType

_VALUE = re.compile(r"\{([a-z_]+(?:\[[a-z]*\])?(?:\.[a-z_]+)*)(?::([A-Z]+))?\}")
_LIST = re.compile(r"([a-z_]+)\[([a-z]*)\](?:\.([a-z_.]+))?")
_CALL = re.compile(r"@(\w+)\((.*?)\)@", flags=re.DOTALL)


class DuckDBDialect:
    """A payload is parsed once for all its columns (``from_json``): a path each takes ten times as long."""

    name = "duckdb"
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
        filled = _VALUE.sub(lambda found: self.value(found[1]), filled)
        return re.sub(r"\bmain\.", f"{self.base}.", filled)

    def value(self, path: str) -> str:
        """The value at a path; NULL if it is missing, null or cannot be of the type that was asked for."""
        if "[" in path:
            return self._texts(path)
        return ".".join(["record.fields", *(f'"{name}"' for name in path.split("."))])

    def parsed(self, record: str, values: Iterable[tuple[str, str]]) -> str:
        """A subquery: the records, with the values of their payload."""
        structure = json.dumps(_structure(values), separators=(",", ":"))
        if structure == "{}":
            return record
        return f"(SELECT *, from_json(payload, '{structure}') AS fields FROM {record})"

    def first_filled(self, texts: str, single: str) -> str:
        """A list of texts; where it is empty or missing, the single text as a list, if there is one."""
        return f"CASE WHEN len({texts}) > 0 OR {single} IS NULL THEN {texts} ELSE [{single}] END"

    def elements(self, listed: str, single: str) -> str:
        """A row for each element of a list in the payload, or for the one object there was in its place before."""
        return (
            f"UNNEST(CASE WHEN len({listed}) > 0 OR json_type({single}) IS DISTINCT FROM 'OBJECT' "
            f"THEN {listed} ELSE [{single}] END)"
        )

    def text(self, payload: str) -> str:
        """The text that a payload is; NULL if it is an object."""
        return f"CASE WHEN json_type({payload}) = 'VARCHAR' THEN {payload} ->> '$' END"

    def count(self, text: str, pattern: str) -> str:
        """How many lines match."""
        return f"len(regexp_extract_all({text}, '(?m){pattern}'))"

    def earliest(self, texts: str) -> str:
        """The first of the times that texts say."""
        return f"list_min(list_transform({texts}, lambda one: TRY_CAST(one AS TIMESTAMPTZ)))"

    def messages(self, listed: str) -> str:
        """The messages of a JSON list of objects."""
        return f"json_extract_string({listed}, '$[*].message')"

    def _texts(self, path: str) -> str:
        listed, _, rest = path.partition("[")
        name, _, inner = rest.partition("]")
        inner = inner.removeprefix(".")
        fields = f'record.fields."{listed}"'
        if name:
            return (
                f"list_transform({fields}, lambda one: "
                f"COALESCE(one ->> '$.{name}', CASE WHEN json_type(one) = 'VARCHAR' THEN one ->> '$' END))"
            )
        if not inner:
            return fields
        steps = "".join(f'."{step}"' for step in inner.split("."))
        return f"list_transform({fields}, lambda one: one{steps})"


def _structure(values: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Which types `from_json` shall give: nested as the payload is."""
    structure: dict[str, Any] = {}
    for path, kind in values:
        found = _LIST.fullmatch(path)
        if found is None:
            _put(structure, path, kind)
        elif found[2]:
            structure[found[1]] = ["JSON"]
        elif found[3]:
            (element,) = structure.setdefault(found[1], [{}])
            _put(element, found[3], kind)
        else:
            structure[found[1]] = [kind]
    return structure


def _put(structure: dict[str, Any], path: str, kind: str) -> None:
    *outer, last = path.split(".")
    for name in outer:
        structure = structure.setdefault(name, {})
    structure[last] = str(kind)
