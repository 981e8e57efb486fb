"""Values on their way to PostgreSQL and back, so that stores get what DuckDB would give them."""

import re
from typing import Any

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import AdaptersMap, Loader
from psycopg.types.string import StrDumper, TextLoader

_NUL = "\0"
_ESCAPED_NUL = re.compile(r"(?P<other>\\[^u]|\\u(?!0000)[0-9a-fA-F]{4})|\\u0000")
_JSON = frozenset({"payload"})
"""Parameters that are JSON text, or lists of it."""


class _StorableText(StrDumper):
    """Text as ``text``, whatever it is compared with. PostgreSQL stores no NUL, so GitLab has none either."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace(_NUL, "\ufffd") if _NUL in obj else obj)


class _Number(Loader):
    """Sums of whole numbers are whole numbers; whatever has a fraction is a float."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data).decode()
        return int(text) if text.lstrip("-").isdigit() else float(text)


def adapters() -> AdaptersMap:
    """For a connection: JSON stays the text that it is, and numbers are Python's own."""
    made = AdaptersMap(psycopg.adapters)
    made.register_dumper(str, _StorableText)
    made.register_loader("json", TextLoader)
    made.register_loader("numeric", _Number)
    return made


class Adapting(AdaptContext):
    """What psycopg takes such a map from."""

    def __init__(self) -> None:
        self._adapters = adapters()

    @property
    def adapters(self) -> AdaptersMap:
        return self._adapters

    @property
    def connection(self) -> None:
        return None


def storable(params: dict[str, Any]) -> dict[str, Any]:
    r"""The parameters, with JSON that PostgreSQL can read again: it refuses to take ``\u0000`` out of it."""
    return {
        name: _storable_json(value) if name in _JSON else _of_one_type(value) for name, value in params.items()
    }


def _of_one_type(value: Any) -> Any:
    """A list of floats in which some are whole is a list of floats."""
    if isinstance(value, list) and any(isinstance(one, float) for one in value):
        return [one if one is None else float(one) for one in value]
    return value


def _storable_json(value: Any) -> Any:
    if isinstance(value, str):
        if "\\u0000" not in value:
            return value
        return _ESCAPED_NUL.sub(lambda found: found["other"] or "\\ufffd", value)
    if isinstance(value, list):
        return [_storable_json(one) for one in value]
    return value
