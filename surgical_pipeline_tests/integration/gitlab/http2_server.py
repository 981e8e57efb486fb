"""A small HTTP/2 server: the same good JSON for every request, several streams at a time on one connection."""

import asyncio
import ssl
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.events


class Http2Server:
    """``peak_streams``: the most requests that were open on one connection at once, while ``gate`` was closed."""

    def __init__(self, context: ssl.SSLContext, body: bytes) -> None:
        context.set_alpn_protocols(["h2"])
        self._context = context
        self._body = body
        self._tasks: set[asyncio.Task[None]] = set()
        self.gate = asyncio.Event()
        self.headers: list[dict[bytes, bytes]] = []
        self.connections = 0
        self.open_streams = 0
        self.peak_streams = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._own_task()
        self.connections += 1
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        try:
            writer.write(connection.data_to_send())
            while data := await reader.read(65_536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self.headers.append(dict(event.headers or ()))
                        answer = asyncio.create_task(self._answer(connection, writer, stream=event.stream_id or 0))
                        self._tasks.add(answer)
                writer.write(connection.data_to_send())
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, connection: h2.connection.H2Connection, writer: asyncio.StreamWriter, *, stream: int
    ) -> None:
        self.open_streams += 1
        self.peak_streams = max(self.peak_streams, self.open_streams)
        await self.gate.wait()
        self.open_streams -= 1
        connection.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
        connection.send_data(stream, self._body, end_stream=True)
        writer.write(connection.data_to_send())

    def _own_task(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
