"""A forward proxy as companies have them: tunnels for https, absolute addresses for http."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

from surgical_pipeline_tests.integration.gitlab.local_server import LocalServer


class TinyProxy(LocalServer):
    """``asked``: the first line of each request; ``heads``: all that the proxy itself could read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        self.asked.append(head.split(b"\r\n", 1)[0].decode())
        method, target, _ = self.asked[-1].split(" ")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        up_reader, up_writer = await asyncio.open_connection(parts.hostname, parts.port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            up_writer.write(head.replace(target.encode(), path.encode(), 1))
        await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
    finally:
        writer.close()
