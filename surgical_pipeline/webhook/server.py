"""The server around the app. It bounds what uvicorn leaves unbounded: how long a request, and a stop, may take."""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from http import HTTPStatus
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

_LOG = logging.getLogger(__name__)
REQUEST_SECONDS = 10.0
"""From accepting a connection until its request has arrived whole."""
HEADER_BYTES = 16_384
_HEADER_PIECE = 1_024
"""h11 compares the size of headers only while they are incomplete, so they are shown to it piece by piece."""
_GRACE_SECONDS = 2.5
_ABORT_SECONDS = 0.5
_FLUSH_SECONDS = 1.0
_BACKLOG = 2048
_OPEN_FILES = 65_536
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_RECEIVED = (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)


class HookProtocol(H11Protocol):
    """One connection, which carries one request. Whoever does not send it whole in time gets a 408."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        while data and not self.transport.is_closing():
            size = len(data) if self.conn.their_state is not h11.IDLE else _HEADER_PIECE
            super().data_received(data[:size])
            data = data[size:]
        if self.conn.their_state in _RECEIVED:
            self._end_deadline()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or has headers of more than 16 KB."""
        del msg
        self._refuse(HTTPStatus.BAD_REQUEST, "it is no HTTP request with headers of at most 16 KB")

    def shutdown(self) -> None:
        """Close, unless a request is under way."""
        request = self._request()
        if request is None or request.response_complete:
            self.transport.close()

    def abandon(self) -> None:
        """Close without an answer."""
        self._forget_request()
        self.transport.abort()

    def _late(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"it did not arrive whole within {REQUEST_SECONDS:.0f} s")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._end_deadline()
        if self.transport.is_closing():
            return
        client = self.client[0] if self.client else "unknown"
        _LOG.warning("refused a request from %s (%s): %s", client, status.value, reason)
        request = self._request()
        answered = request is not None and request.response_started
        self._forget_request()
        if not answered:
            body = f"refused: {reason}\n"
            self.transport.write(
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
            )
        self.transport.close()
        self.loop.call_later(_FLUSH_SECONDS, self.transport.abort)  # who does not read does not keep it open

    def _forget_request(self) -> None:
        """The app sees a client that is gone."""
        request = self._request()
        if request is not None:
            request.disconnected = True
            request.message_event.set()

    def _request(self) -> RequestResponseCycle | None:
        """None until the headers are there, which uvicorn's annotation does not say."""
        return self.cycle

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class HookServer(uvicorn.Server):
    """Runs until SIGINT or SIGTERM, or until ``should_exit`` is set; then it ends soon, whatever clients do.

    ``ready`` is set once connections are accepted.
    """

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HookProtocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                backlog=_BACKLOG,
                h11_max_incomplete_event_size=HEADER_BYTES,
            )
        )
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self._each_connection(HookProtocol.shutdown)
        await self._settled(_GRACE_SECONDS)
        self._each_connection(HookProtocol.abandon)
        await self._settled(_ABORT_SECONDS)
        for task in list(self.server_state.tasks):
            task.cancel()

    def _each_connection(self, do: Callable[[HookProtocol], None]) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, HookProtocol):
                do(connection)

    async def _settled(self, seconds: float) -> None:
        """Until no request is under way, or the time is over."""
        end = time.monotonic() + seconds
        while (  # noqa: ASYNC110  uvicorn keeps them in plain sets
            self.server_state.connections or self.server_state.tasks
        ) and time.monotonic() < end:
            await asyncio.sleep(0.05)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[signal.Signals, Any] = {one: signal.signal(one, self._stop) for one in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def allow_many_connections() -> None:
    """Slow clients keep a descriptor each for ten seconds; the usual limit of 1,024 would shut out real hooks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
