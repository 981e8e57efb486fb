"""A small HTTP/1.1 server whose answers are scripted to the byte, for what no proper server would do.

It runs in the test's own event loop. A route's replies are used up one after the other; the last one stays.
"""

import asyncio
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from surgical_pipeline_tests.integration.gitlab.local_server import LocalServer


@dataclass(frozen=True)
class Request:
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]


@dataclass(frozen=True)
class Reply:
    """``body`` is JSON unless it is bytes. ``cut_after``: hang up after so many bytes of the body."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str | None = "application/json"
    cut_after: int | None = None
    hang_up: bool = False
    hang: bool = False
    gate: asyncio.Event | None = None
    """The reply is held back until the event is set."""

    def encoded(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Script = Callable[[Request], Reply]

_NOT_SCRIPTED = Reply({"message": "404 Not Found"}, status=404)


class WireServer(LocalServer):
    """``in_flight`` and ``peak`` count requests that are read and not yet answered."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(context)
        self.requests: list[Request] = []
        self.in_flight = 0
        self.peak = 0
        self._scripts: dict[str, list[Reply] | Script] = {}

    def on(self, path: str, *replies: Reply) -> None:
        self._scripts[path] = list(replies)

    def answer(self, path: str, script: Script) -> None:
        self._scripts[path] = script

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await _read_request(reader)) is not None:
            self.requests.append(request)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
            try:
                go_on = await self._reply(self._next_reply(request), writer)
            finally:
                self.in_flight -= 1
            if not go_on:
                return

    def _next_reply(self, request: Request) -> Reply:
        script = self._scripts.get(request.path)
        if script is None:
            return _NOT_SCRIPTED
        if callable(script):
            return script(request)
        return script.pop(0) if len(script) > 1 else script[0]

    async def _reply(self, reply: Reply, writer: asyncio.StreamWriter) -> bool:
        if reply.gate is not None:
            await reply.gate.wait()
        if reply.hang:
            await asyncio.Event().wait()
        if reply.hang_up:
            return False
        body = reply.encoded()
        headers = {"Content-Length": str(len(body)), **reply.headers}
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body[: reply.cut_after])
        await writer.drain()
        return reply.cut_after is None


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the event loop go on until something is so; the test's own time limit ends a wait in vain."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  the conditions are states of the code under test
            await asyncio.sleep(0.001)


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    _method, target, _version = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    parts = urlsplit(target)
    return Request(parts.path, tuple(parse_qsl(parts.query, keep_blank_values=True)), headers)
