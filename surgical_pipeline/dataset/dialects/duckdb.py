"""How DuckDB gets typed values out of a payload."""

import json
from collections.abc import Iterable

from surgical_pipeline.dataset.dialects.dialect import Dialect, list_path, structure


class DuckDBDialect(Dialect):
    """A payload is parsed once for all its columns (``from_json``): a path each takes ten times as long."""

    name = "duckdb"

    def value(self, path: str, kind: str) -> str:
        del kind  # told to from_json
        if "[" in path:
            return self._texts(path)
        return ".".join(["record.fields", *(f'"{name}"' for name in path.split("."))])

    def parsed(self, record: str, values: Iterable[tuple[str, str]]) -> str:
        kinds = json.dumps(structure(values), separators=(",", ":"))
        if kinds == "{}":
            return record
        return f"(SELECT *, from_json(payload, '{kinds}') AS fields FROM {record})"

    def first_filled(self, texts: str, single: str) -> str:
        return f"CASE WHEN len({texts}) > 0 OR {single} IS NULL THEN {texts} ELSE [{single}] END"

    def elements(self, listed: str, single: str) -> str:
        return (
            f"UNNEST(CASE WHEN len({listed}) > 0 OR json_type({single}) IS DISTINCT FROM 'OBJECT' "
            f"THEN {listed} ELSE [{single}] END)"
        )

    def text(self, payload: str) -> str:
        return f"CASE WHEN json_type({payload}) = 'VARCHAR' THEN {payload} ->> '$' END"

    def count(self, text: str, pattern: str) -> str:
        return f"len(regexp_extract_all({text}, '(?m){pattern}'))"

    def earliest(self, texts: str) -> str:
        return f"list_min(list_transform({texts}, lambda one: TRY_CAST(one AS TIMESTAMPTZ)))"

    def messages(self, listed: str) -> str:
        return f"json_extract_string({listed}, '$[*].message')"

    def _texts(self, path: str) -> str:
        listed, name, inner = list_path(path)
        fields = f'record.fields."{listed}"'
        if name:
            return (
                f"list_transform({fields}, lambda one: "
                f"COALESCE(one ->> '$.{name}', CASE WHEN json_type(one) = 'VARCHAR' THEN one ->> '$' END))"
            )
        if not inner:
            return fields
        steps = "".join(f'."{step}"' for step in inner)
        return f"list_transform({fields}, lambda one: one{steps})"
