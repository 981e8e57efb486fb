"""Faults: which one fires for a request, and how it changes an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote_plus

from surgical_pipeline.sandbox.control_models import Fault, FaultSpec
from surgical_pipeline.sandbox.model import render

if TYPE_CHECKING:
    from collections.abc import Mapping

_GATEWAY_PAGE = (
    "<!DOCTYPE html><html><head><title>GitLab is not responding ({status})</title></head><body></body></html>"
)
LOGIN_PAGE: Final = (
    b'<!DOCTYPE html><html lang="en"><head><title>Sign in \xc2\xb7 GitLab</title></head>'
    b'<body><form action="/users/sign_in" method="post"></form></body></html>'
)
_JSON_BODIES: dict[int, object] = {
    401: {"message": "401 Unauthorized"},
    403: {"message": "403 Forbidden"},
    404: {"message": "404 Not found"},
    500: {"message": "500 Internal Server Error"},
}
_RATE_LIMIT_HEADERS: dict[str, str] = {
    "Retry-After": "1",
    "RateLimit-Name": "throttle_authenticated_api",
    "RateLimit-Limit": "120",
    "RateLimit-Observed": "121",
    "RateLimit-Remaining": "0",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; header names in lower case, without content-length."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class FaultBoard:
    """The faults in the order they were added."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._last_id = 0

    def add(self, spec: FaultSpec) -> Fault:
        self._last_id += 1
        fault = Fault(fault_id=self._last_id, **spec.model_dump())
        self.faults.append(fault)
        return fault

    def clear(self) -> None:
        self.faults.clear()

    def take(self, *, method: str, path: str, query: str) -> Fault | None:
        """The fault that fires for this request, counted as fired."""
        for fault in self.faults:
            used_up = fault.times is not None and fault.fired >= fault.times
            if used_up or not _matches(fault, method=method, path=path, query=query):
                continue
            fault.matched += 1
            if fault.matched > fault.skip:
                fault.fired += 1
                return fault
        return None


def _matches(fault: Fault, *, method: str, path: str, query: str) -> bool:
    return (
        fault.method in ("*", method)
        and fnmatchcase(path, fault.path)
        and (fault.query is None or fault.query in unquote_plus(query))
        and (fault.iid is None or _asks_for(fault.iid, path=path, query=query))
    )


def _asks_for(iid: int, *, path: str, query: str) -> bool:
    listed = {value for name, value in parse_qsl(query) if name in ("iids[]", "iids")}
    return path.endswith((f"/issues/{iid}", f"/merge_requests/{iid}")) or str(iid) in listed


def refusal(fault: Fault, *, reset_at: int) -> Answer:
    """The answer for a fault with a status; `reset_at` is a Unix time, for `RateLimit-Reset`."""
    status = fault.status or 500
    headers, body = {"content-type": "application/json"}, b""
    if status == 429:  # noqa: PLR2004 - the status is its own best name
        headers |= _lower(_RATE_LIMIT_HEADERS) | {"content-type": "text/plain", "ratelimit-reset": str(reset_at)}
        body = b"Retry later\n"
    elif status in _JSON_BODIES:
        body = render(_JSON_BODIES[status])
    else:
        headers["content-type"] = "text/html"
        body = _GATEWAY_PAGE.format(status=status).encode()
    if fault.body is not None:
        body = fault.body.encode()
    return Answer(status, headers | _lower(fault.headers), body)


@dataclass(slots=True)
class Bent:
    """What goes over the wire: an answer, and where its connection breaks off (None: it does not)."""

    answer: Answer
    sent_length: int | None = field(default=None)


def bend(answer: Answer, fault: Fault) -> Bent:
    """A real answer, changed by the fault."""
    body, headers = answer.body, dict(answer.headers)
    if fault.override or fault.append is not None or fault.leave_out_iids:
        body = _bend_payload(body, fault)
    if fault.mangle == "broken_json":
        body = body[: max(len(body) * 2 // 3, 1)]
    if fault.mangle == "html":
        body, headers["content-type"] = LOGIN_PAGE, "text/html; charset=utf-8"
    broken = fault.mangle == "truncated" or fault.drop == "mid_body"
    bent = Answer(answer.status, headers | _lower(fault.headers), body)
    return Bent(bent, sent_length=len(body) // 2 if broken else None)


def _bend_payload(body: bytes, fault: Fault) -> bytes:
    try:
        value: Any = json.loads(body)
    except ValueError:
        return body
    if isinstance(value, dict):
        return render(value | fault.override)
    rows = [row | fault.override for row in value if row.get("iid") not in fault.leave_out_iids]
    if fault.append is not None:
        rows.append((rows[0] if rows else {}) | fault.append)
    return render(rows)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
