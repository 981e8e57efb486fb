"""Payload text: compact JSON with the keys in GitLab's order, so that the same answer always gives the same bytes.

NUL and lone surrogates, which JSON can spell but neither DuckDB nor PostgreSQL stores, become U+FFFD.
Nesting is bounded: stored text must be readable again, and every reader has a limit.
"""

import json
import re

from surgical_pipeline.gitlab.errors import InvalidPayloadError

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
"""Made once: ``json.dumps`` makes another for each call that is not plain."""

MAX_NESTING = 100
"""Lists and objects inside each other; GitLab's answers have about ten, pydantic reads at most 200."""


def canonical(item: object, what: str) -> str:
    """The text to store for a JSON value; ``what`` names it in the error.

    Raises:
        InvalidPayloadError: not a number (NaN, infinity), or nesting too deep to write.
    """
    try:
        return _ENCODER.encode(item)
    except (ValueError, TypeError, RecursionError):
        raise InvalidPayloadError(f"GitLab's {what} holds values or nesting that JSON cannot store") from None


def storable(item: object, what: str) -> object:
    """The same JSON with unstorable characters replaced; mostly the same object.

    Raises:
        InvalidPayloadError: as ``canonical``, or nested deeper than ``MAX_NESTING``.
    """
    text = canonical(item, what)
    # Counting closing brackets is quick, and nearly always enough.
    if text.count("]") + text.count("}") > MAX_NESTING and _nested_deeper(item, MAX_NESTING):
        raise InvalidPayloadError(f"GitLab's {what} is nested too deeply")
    if "\\u0000" not in text and _UNSTORABLE.search(text) is None:
        return item
    return _replaced(item)


def _nested_deeper(item: object, levels: int) -> bool:
    if not isinstance(item, list | dict):
        return False
    inner = item.values() if isinstance(item, dict) else item
    return not levels or any(_nested_deeper(one, levels - 1) for one in inner)


def _replaced(item: object) -> object:
    if isinstance(item, str):
        return _UNSTORABLE.sub(_REPLACEMENT, item)
    if isinstance(item, list):
        return [_replaced(one) for one in item]
    if isinstance(item, dict):
        return {_replaced(name): _replaced(value) for name, value in item.items()}
    return item
