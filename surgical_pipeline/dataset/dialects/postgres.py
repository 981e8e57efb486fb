"""How PostgreSQL gets typed values out of a payload."""

import re
from collections.abc import Iterable, Sequence

from surgical_pipeline.dataset.columns import ColumnType
from surgical_pipeline.dataset.dialects.dialect import JSON, Dialect, list_path, structure
from surgical_pipeline.dataset.schema import SCHEMA

_CASTS = {
    str(ColumnType.INTEGER): f"{SCHEMA}.integer_of",
    str(ColumnType.BOOLEAN): f"{SCHEMA}.boolean_of",
    str(ColumnType.TIME): f"{SCHEMA}.time_of",
    str(ColumnType.DAY): f"{SCHEMA}.day_of",
}
_CAST_TO = re.compile(rf"\bAS ({'|'.join(re.escape(kind) for kind in ColumnType)})\)")


class PostgresDialect(Dialect):
    """A payload is parsed once for all its columns (``json_to_record``), as text, which nothing can fail to be."""

    name = "postgres"

    def resolved(self, sql: str) -> str:
        return _CAST_TO.sub(lambda found: f"AS {ColumnType(found[1]).anywhere})", super().resolved(sql))

    def value(self, path: str, kind: str) -> str:
        if kind == JSON:
            return f"record.{_field(path.removesuffix('[]'))}"
        if "[" in path:
            return self._texts(path)
        first, *steps = path.split(".")
        found = _within(f"record.{_field(first)}", steps)
        return f"{_CASTS[kind]}({found})" if kind in _CASTS else found

    def parsed(self, record: str, values: Iterable[tuple[str, str]]) -> str:
        nested = structure(values)
        kinds = {name: "TEXT" if isinstance(kind, str) and kind != JSON else JSON for name, kind in nested.items()}
        if not kinds:
            return record
        fields = ", ".join(f'fields."{name}" AS {_field(name)}' for name in kinds)
        told = ", ".join(f'"{name}" {kind}' for name, kind in kinds.items())
        return (
            f"(SELECT source.*, {fields} FROM {record} AS source LEFT JOIN LATERAL "
            "json_to_record(CASE WHEN json_typeof(source.payload) = 'object' THEN source.payload END) "
            f"AS fields ({told}) ON TRUE)"
        )

    def first_filled(self, texts: str, single: str) -> str:
        return f"CASE WHEN cardinality({texts}) > 0 OR {single} IS NULL THEN {texts} ELSE ARRAY[{single}] END"

    def elements(self, listed: str, single: str) -> str:
        a_list = f"json_typeof({listed}) = 'array'"
        return (
            f"json_array_elements(CASE WHEN {a_list} AND json_array_length({listed}) > 0 THEN {listed} "
            f"WHEN json_typeof({single}) = 'object' THEN json_build_array({single}) END)"
        )

    def text(self, payload: str) -> str:
        return f"CASE WHEN json_typeof({payload}) = 'string' THEN {payload} #>> '{{}}' END"

    def count(self, text: str, pattern: str) -> str:
        return f"regexp_count({text}, '{pattern}', 1, 'n')::BIGINT"

    def earliest(self, texts: str) -> str:
        return f"(SELECT MIN({SCHEMA}.time_of(told.one)) FROM unnest({texts}) AS told (one))"

    def messages(self, listed: str) -> str:
        return f"ARRAY(SELECT told.one ->> 'message' FROM json_array_elements({listed}) AS told (one))"

    def _texts(self, path: str) -> str:
        listed, name, inner = list_path(path)
        if name:
            one = f"COALESCE(told.one ->> '{name}', {self.text('told.one')})"
        else:
            one = _within("told.one", inner) if inner else "told.one #>> '{}'"
        field = f"record.{_field(listed)}"
        return (
            f"CASE WHEN json_typeof({field}) = 'array' "
            f"THEN ARRAY(SELECT {one} FROM json_array_elements({field}) AS told (one)) END"
        )


def _field(name: str) -> str:
    """What a value of the payload is called beside the record's own columns."""
    return f"field_{name}"


def _within(value: str, steps: Sequence[str]) -> str:
    """The text of what is so far within a JSON value."""
    if not steps:
        return value
    *outer, last = steps
    return f"({value}{''.join(f' -> {step!r}' for step in outer)} ->> {last!r})"
