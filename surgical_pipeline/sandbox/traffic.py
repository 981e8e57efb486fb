"""Everything that happens to a request around the API: the log, latency, faults, the rate limit."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final

from surgical_pipeline.sandbox.control_models import Fault, FaultSpec, LoggedRequest, RequestLogView
from surgical_pipeline.sandbox.faults import Answer, FaultBoard, bend, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LONGEST_LOG: Final = 200_000
_WINDOW_SECONDS: Final = 60


class RequestLog:
    """The last 200,000 requests and the maximum that ever ran at once."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._entries: deque[LoggedRequest] = deque(maxlen=_LONGEST_LOG)
        self._count = 0
        self._in_flight = 0
        self._most_in_flight = 0

    def begin(self, *, method: str, path: str, query: str, token_in_header: bool) -> LoggedRequest:
        self._count += 1
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        entry = LoggedRequest.model_construct(
            number=self._count,
            method=method,
            path=path,
            query=query,
            token_in_header=token_in_header,
            status=None,
            fault_id=None,
            duration_ms=None,
        )
        self._entries.append(entry)
        return entry

    def end(self, entry: LoggedRequest, *, seconds: float) -> None:
        entry.duration_ms = round(seconds * 1000, 3)
        self._in_flight = max(self._in_flight - 1, 0)

    def view(self) -> RequestLogView:
        entries = list(self._entries)
        return RequestLogView(count=self._count, max_in_flight=self._most_in_flight, requests=entries)


class Traffic:
    """Shared by the middleware, the control routes and the server that runs the app.

    `connections` is the server's set of open connections, which faults use to close one; `closing` cuts
    delays short when the server stops. `rate_limit` is in requests per minute, None: none. `clock` gives the
    `Date` of answers.
    """

    def __init__(self, *, rate_limit: int | None, clock: Callable[[], datetime]) -> None:
        self.log = RequestLog()
        self.faults = FaultBoard()
        self.latency_ms = 0
        self.rate_limit = rate_limit
        self.clock = clock
        self.closing = asyncio.Event()
        self.connections: Iterable[Any] = ()
        self._window = (0, 0)

    def reset(self) -> None:
        self.log.clear()
        self.faults.clear()
        self.latency_ms = 0
        self._window = (0, 0)

    def count_for_limit(self) -> tuple[int, int]:
        """Requests in the current minute, including this one, and the Unix time at which the minute ends."""
        minute = self.unix_time() // _WINDOW_SECONDS
        started, observed = self._window
        self._window = (minute, observed + 1 if started == minute else 1)
        return self._window[1], (minute + 1) * _WINDOW_SECONDS

    def unix_time(self) -> int:
        return int(self.clock().timestamp())

    async def pause(self, milliseconds: float) -> None:
        if milliseconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(milliseconds / 1000):
                    await self.closing.wait()

    async def hang_up(self, scope: Scope, receive: Receive) -> None:
        """Close the connection that the request came over, and wait until it is closed."""
        client = scope.get("client")
        for connection in list(self.connections):
            if connection.client is not None and client is not None and tuple(connection.client) == tuple(client):
                connection.transport.close()
        while (await receive())["type"] != "http.disconnect":
            continue


class TrafficMiddleware:
    """ASGI: removes the prefix, keeps `%2F` in the path, and applies faults to requests of the API."""

    def __init__(self, app: ASGIApp, *, traffic: Traffic, prefix: str) -> None:
        self.app = app
        self.traffic = traffic
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        path = raw_path.decode("ascii", "replace")
        inside = path.startswith(f"{self.prefix}/")
        scope = {**scope, "path": path.removeprefix(self.prefix) if inside else "/outside-of-the-prefix"}
        if not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        names = {name for name, _ in scope["headers"]}
        entry = self.traffic.log.begin(
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("ascii", "replace"),
            token_in_header=not names.isdisjoint({b"private-token", b"authorization"}),
        )
        start = time.perf_counter()

        async def send_when_due(message: Message) -> None:
            """The latency counts from the request on, so it includes the time to make an answer."""
            if message["type"] == "http.response.start":
                await self.traffic.pause(self.traffic.latency_ms - (time.perf_counter() - start) * 1000)
                if b"date" not in dict(message["headers"]):  # a fault may have set it
                    date = format_datetime(self.traffic.clock().astimezone(UTC), usegmt=True).encode()
                    message["headers"] = [*message["headers"], (b"date", date)]
            await send(message)

        try:
            await self._serve(scope, receive, send_when_due, entry=entry)
        finally:
            self.traffic.log.end(entry, seconds=time.perf_counter() - start)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, entry: LoggedRequest) -> None:
        traffic = self.traffic
        fault = traffic.faults.take(method=entry.method, path=entry.path, query=entry.query)
        if fault is not None:
            entry.fault_id = fault.fault_id
            await traffic.pause(fault.delay_ms)
            await self._serve_fault(fault, scope, receive, send, entry=entry)
            return
        limit_headers: list[tuple[bytes, bytes]] = []
        if traffic.rate_limit is not None:
            observed, reset_at = traffic.count_for_limit()
            limits = _limit_headers(
                traffic.rate_limit, observed=observed, reset_at=reset_at, now=traffic.unix_time()
            )
            if observed > traffic.rate_limit:
                over = FaultSpec(path="*", status=429, headers=limits)
                await _send_answer(
                    refusal(Fault(fault_id=0, **over.model_dump()), reset_at=reset_at), send, entry=entry
                )
                return
            limit_headers = [(name.lower().encode(), value.encode()) for name, value in limits.items()]

        async def record(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                message["headers"] = [*message["headers"], *limit_headers]
            await send(message)

        await self.app(scope, receive, record)

    async def _serve_fault(
        self, fault: Fault, scope: Scope, receive: Receive, send: Send, *, entry: LoggedRequest
    ) -> None:
        if fault.drop == "before_headers":
            await self.traffic.hang_up(scope, receive)
            return
        if fault.status is not None:
            reset_at = self.traffic.unix_time() + int(fault.headers.get("Retry-After", "1"))
            bent = bend(refusal(fault, reset_at=reset_at), fault)
        else:
            bent = bend(await _capture(self.app, scope, receive), fault)
        await _send_answer(bent.answer, send, entry=entry, sent_length=bent.sent_length)
        if bent.sent_length is not None:
            await self.traffic.hang_up(scope, receive)


async def _capture(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """The answer that the app would send."""
    start: dict[str, Any] = {}
    body = bytearray()

    async def collect(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, collect)
    headers = {name.decode(): value.decode() for name, value in start["headers"] if name != b"content-length"}
    return Answer(start["status"], headers, bytes(body))


async def _send_answer(
    answer: Answer, send: Send, *, entry: LoggedRequest, sent_length: int | None = None
) -> None:
    """Send an answer whole, or only its first `sent_length` bytes under a content-length that promises all."""
    entry.status = answer.status
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    cut = sent_length is not None
    await send({"type": "http.response.body", "body": answer.body[:sent_length], "more_body": cut})


def _limit_headers(limit: int, *, observed: int, reset_at: int, now: int) -> dict[str, str]:
    headers = {
        "RateLimit-Name": "throttle_authenticated_api",
        "RateLimit-Limit": str(limit),
        "RateLimit-Observed": str(observed),
        "RateLimit-Remaining": str(max(limit - observed, 0)),
        "RateLimit-Reset": str(reset_at),
    }
    if observed > limit:
        headers["Retry-After"] = str(max(reset_at - now, 1))
    return headers
