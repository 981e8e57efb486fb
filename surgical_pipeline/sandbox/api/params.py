"""Query parameters, read as GitLab reads them; what cannot be read is a 400 with `{"error": "… is invalid"}`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from surgical_pipeline.sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.datastructures import QueryParams

_TRUE, _FALSE = {"true", "t", "1", "yes", "on"}, {"false", "f", "0", "no", "off"}


def invalid(name: str) -> ApiError:
    return ApiError(400, {"error": f"{name} is invalid"})


def integer(params: QueryParams, name: str, *, default: int) -> int:
    """A whole number; absent or empty gives the default."""
    text = params.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise invalid(name) from None


def flag(params: QueryParams, name: str) -> bool:
    text = params.get(name, "").lower()
    if not text or text in _FALSE:
        return False
    if text in _TRUE:
        return True
    raise invalid(name)


def choice(params: QueryParams, name: str, *, allowed: Collection[str], default: str) -> str:
    text = params.get(name, "") or default
    if text not in allowed:
        raise ApiError(400, {"error": f"{name} does not have a valid value"})
    return text


def words(params: QueryParams, name: str) -> list[str]:
    """`name=a,b` and `name[]=a&name[]=b`; blanks are removed."""
    texts = [*params.getlist(name), *params.getlist(f"{name}[]")]
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


def iids(params: QueryParams) -> frozenset[int] | None:
    """The requested IIDs, or None for "all of them", which is also what an empty `iids[]` means in GitLab."""
    try:
        wanted = frozenset(int(word) for word in words(params, "iids"))
    except ValueError:
        raise invalid("iids") from None
    return wanted or None


def instant(params: QueryParams, name: str, *, round_up: bool) -> str | None:
    """An ISO 8601 instant in the form of the payloads (milliseconds, UTC), so that texts can be compared.

    A finer instant is rounded up if it is a lower bound and down if it is an upper bound.
    """
    text = params.get(name, "")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(name) from None
    if round_up and moment.microsecond % 1000:
        moment += timedelta(milliseconds=1)
    return format_instant(moment)


def format_instant(moment: datetime) -> str:
    """`2026-03-04T05:06:07.089Z`, whatever the time zone of an aware `moment`; finer digits are cut."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
