"""Connections to GitLab: one for each request in flight, or one for all of them if the server offers HTTP/2.

httpx's own pool looks at every connection, and asks the system about each idle one, whenever a request begins or
ends. With 16 in flight that takes as much processor time as the rest of a request; pools of one connection
each avoid it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

_HTTP_2 = "HTTP/2"


class Client(httpx.AsyncClient):
    """httpx's client, which looks for cookies in no answer but those that set one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._cookies = _CookiesThatAreSet()


class _CookiesThatAreSet(httpx.Cookies):
    """httpx makes a request and a message of the standard library of each answer, to look for cookies in it.

    That takes a twelfth of the processor time of a small request.
    """

    def extract_cookies(self, response: httpx.Response) -> None:
        if "set-cookie" in response.headers:
            super().extract_cookies(response)


class Connections:
    """``connect`` creates a client, whose connection opens with its first request. ``aclose`` ends all of them."""

    def __init__(self, connect: Callable[[], httpx.AsyncClient]) -> None:
        self._connect = connect
        self._clients: list[httpx.AsyncClient] = []
        self._idle: list[httpx.AsyncClient] = []
        self._shared: httpx.AsyncClient | None = None

    @asynccontextmanager
    async def get(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        """The answer to a GET; read its body within the block.

        Raises:
            httpx.HTTPError: no answer came.
        """
        if self._shared is not None:
            async with self._shared.stream("GET", url) as response:
                yield response
            return
        client = self._idle.pop() if self._idle else self._another()  # the one used last is likeliest to be alive
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
