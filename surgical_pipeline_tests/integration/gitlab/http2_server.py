"""A small HTTP/2 server: the same good JSON for every request, several streams at a time on one connection."""

import asyncio
import ssl
from contextlib import suppress

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from surgical_pipeline_tests.integration.gitlab.local_server import LocalServer


class Http2Server(LocalServer):
    """``peak_streams``: the most requests that were open on one connection at once, while ``gate`` was closed."""

    def __init__(self, context: ssl.SSLContext, body: bytes) -> None:
        context.set_alpn_protocols(["h2"])
        super().__init__(context)
        self._body = body
        self.gate = asyncio.Event()
        self.headers: list[dict[bytes, bytes]] = []
        self.connections = 0
        self.open_streams = 0
        self.peak_streams = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        async with asyncio.TaskGroup() as answers:
            while data := await reader.read(65_536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self.headers.append(dict(event.headers or ()))
                        answers.create_task(self._answer(connection, writer, stream=event.stream_id or 0))
                writer.write(connection.data_to_send())
                await writer.drain()

    async def _answer(
        self, connection: h2.connection.H2Connection, writer: asyncio.StreamWriter, *, stream: int
    ) -> None:
        self.open_streams += 1
        self.peak_streams = max(self.peak_streams, self.open_streams)
        await self.gate.wait()
        self.open_streams -= 1
        with suppress(h2.exceptions.ProtocolError):  # the client may have called the request off
            connection.send_headers(stream, [(":status", "200"), ("content-type", "application/json")])
            connection.send_data(stream, self._body, end_stream=True)
            writer.write(connection.data_to_send())
