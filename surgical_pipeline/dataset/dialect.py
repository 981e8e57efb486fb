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

_VALUE = re.compile(r"\{([a-z_]+(?:\[\])?(?:\.[a-z_]+)*)(?::([A-Z]+))?\}")
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
        if "[]" in path:
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

    def elements(self, listed: str, otherwise: str = "") -> str:
        """A row for each element of a list in the payload, or for the one object there was in its place before."""
        many = f"json_extract(payload, '$.{listed}[*]')"
        if not otherwise:
            return f"UNNEST({many})"
        single = f"json_extract(payload, '$.{otherwise}')"
        return (
            f"UNNEST(CASE WHEN len({many}) > 0 THEN {many} "
            f"WHEN json_type({single}) = 'OBJECT' THEN [{single}] END)"
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
        listed, _, inner = path.partition("[]")
        fields = f'record.fields."{listed}"'
        if not inner:
            return fields
        return (
            f"list_transform({fields}, lambda one: "
            f"COALESCE(one ->> '${inner}', CASE WHEN json_type(one) = 'VARCHAR' THEN one ->> '$' END))"
        )


def _structure(values: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Which types `from_json` shall give: nested as the payload is."""
    structure: dict[str, Any] = {}
    for path, kind in values:
        listed, bracket, inner = path.partition("[]")
        if bracket:
            structure[listed] = ["JSON" if inner else "VARCHAR"]
            continue
        *outer, last = path.split(".")
        level = structure
        for name in outer:
            level = level.setdefault(name, {})
        level[last] = str(kind)
    return structure
