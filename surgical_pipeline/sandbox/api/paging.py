"""Pages: GitLab's offset and keyset pagination with their headers."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlencode

from starlette.responses import Response

from surgical_pipeline.sandbox.api import params as read
from surgical_pipeline.sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from surgical_pipeline.sandbox.api.call import Call
    from surgical_pipeline.sandbox.model import Entity

    RowT = TypeVar("RowT")

LARGEST_COUNT = 10_000


def page_size(call: Call) -> int:
    """`per_page`: 20 by default, 100 at most (or `largest_page`), 0 is refused."""
    size = read.integer(call.params, "per_page", default=20)
    if size == 0:
        raise ApiError(400, {"error": "per_page has a value not allowed"})
    return min(size if size > 0 else 20, call.world.behaviour.largest_page)


def list_response(fragments: Iterable[bytes | None], headers: dict[str, str]) -> Response:
    """A JSON list of what the viewer may see: None stands for a row that permission takes out of its page."""
    body = b"[" + b",".join(fragment for fragment in fragments if fragment is not None) + b"]"
    return Response(body, media_type="application/json", headers=headers)


def offset_page(call: Call, rows: Sequence[RowT], fragment: Callable[[RowT], bytes | None]) -> Response:
    """Page number `page` of `rows`; past 10,000 rows GitLab stops counting and leaves the totals out."""
    size, page = page_size(call), max(read.integer(call.params, "page", default=1), 1)
    total = len(rows)
    last = max(-(-total // size), 1)
    following = page + 1 if page < last else None
    headers = {
        "X-Next-Page": str(following or ""),
        "X-Page": str(page),
        "X-Per-Page": str(size),
        "X-Prev-Page": str(page - 1) if page > 1 else "",
    }
    links = {"prev": page - 1 if page > 1 else None, "next": following, "first": 1}
    if total <= LARGEST_COUNT:
        headers |= {"X-Total": str(total), "X-Total-Pages": str(last)}
        links["last"] = last
    headers["Link"] = ", ".join(
        f'<{_address(call, page=str(number), per_page=str(size))}>; rel="{name}"'
        for name, number in links.items()
        if number is not None
    )
    start = (page - 1) * size
    return list_response((fragment(row) for row in rows[start : start + size]), headers)


def refuse_large_offset(call: Call, name: str) -> None:
    """405 where page number times page size passes `largest_offset`; `name` is GitLab's class of the rows."""
    largest = call.world.behaviour.largest_offset
    if max(read.integer(call.params, "page", default=1), 1) * page_size(call) > largest:
        text = (
            f"Offset pagination has a maximum allowed offset of {largest} for requests that return objects "
            f"of type {name}. Remaining records can be retrieved using keyset pagination."
        )
        raise ApiError(405, {"error": text})


def whole_list(rows: Iterable[RowT], fragment: Callable[[RowT], bytes | None]) -> Response:
    """Everything at once, for the few endpoints that have no pages."""
    return list_response((fragment(row) for row in rows), {})


def keyset_page(
    call: Call,
    rows: Sequence[Entity],
    fragment: Callable[[Entity], bytes | None],
    *,
    order_by: str,
    descending: bool,
) -> Response:
    """The rows after `cursor`; `rows` are already in order. Only a `Link` to the next page, no counts."""
    size = page_size(call)
    if cursor := call.params.get("cursor"):
        edge = _read_cursor(cursor, order_by)
        rows = [
            row
            for row in rows
            if (position(row, order_by) < edge if descending else position(row, order_by) > edge)
        ]
    shown = rows[:size]
    headers = {"X-Per-Page": str(size)}
    if len(rows) > size:
        following = _write_cursor(shown[-1], order_by)
        headers["Link"] = f'<{_address(call, cursor=following, per_page=str(size))}>; rel="next"'
    return list_response((fragment(row) for row in shown), headers)


def position(entity: Entity, order_by: str) -> tuple[str, int]:
    """Where a row stands in an order: by the field, ties by id."""
    return (str(entity.payload[order_by]), int(entity.payload["id"]))


def _write_cursor(entity: Entity, order_by: str) -> str:
    value, identity = position(entity, order_by)
    text = json.dumps({order_by: value, "id": str(identity), "_kd": "n"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_cursor(cursor: str, order_by: str) -> tuple[str, int]:
    try:
        content = json.loads(base64.urlsafe_b64decode(cursor))
        return (str(content[order_by]), int(content["id"]))
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise read.invalid("cursor") from None


def _address(call: Call, **changed: str) -> str:
    """The requested address with some parameters replaced, as in `Link`."""
    kept = [(name, value) for name, value in call.params.multi_items() if name not in changed]
    return f"{call.named}?{urlencode(sorted([*kept, *changed.items()]))}"
