"""Connections to GitLab: a connection for each request in flight, or one for all of them where HTTP/2 is offered.

httpx's own pool looks at every connection, and asks the system about each idle one, whenever a request begins or
ends. With 16 in flight that takes as much processor time as all the rest of a request; with pools of one
connection each it is gone.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

_HTTP_2 = "HTTP/2"


class Connections:
    """``connect`` makes a client, whose connection opens with its first request. ``aclose`` ends all of them."""

    def __init__(self, connect: Callable[[], httpx.AsyncClient]) -> None:
        self._connect = connect
        self._clients: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []
        self._shared: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def get(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        """The answer to a GET, its body still to be read within the block.

        Raises:
            httpx.HTTPError: no answer came.
        """
        if self._shared is not None:
            async with self._shared.stream("GET", url) as response:
                yield response
            return
        client = self._idle.pop() if self._idle else self._another()  # the one used last is the surest to live
        try:
            async with client.stream("GET", url) as response:
                if response.http_version == _HTTP_2:
                    self._shared = client
                yield response
        finally:
            self._idle.append(client)

    async def aclose(self) -> None:
        while self._clients:
            await self._clients.pop().aclose()
        self._idle.clear()
        self._shared = None

    def _another(self) -> httpx.AsyncClient:
        client = self._connect()
        self._clients.append(client)
        return client
