"""A real HTTP server with ``POST /v1/embeddings`` that answers by a script, then well."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from surgical_pipeline_tests.surroundings import REPOSITORY

Reply = Callable[[dict[str, Any]], Awaitable[Response]]
"""From the request's JSON to an answer."""

DIMENSION = 4


def vector_of(text: str) -> list[float]:
    return [1.0, float(len(text)), float(text.count("a")), -2.0]


def embeddings(vectors: list[Any]) -> Response:
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    body = json.dumps({"object": "list", "data": data, "model": "any"})  # writes NaN as some servers do
    return Response(body, media_type="application/json")


async def good(request: dict[str, Any]) -> Response:
    return embeddings([vector_of(text) for text in request["input"]])


def vectors(*given: Any) -> Reply:
    """These vectors, whatever was asked."""

    async def reply(_: dict[str, Any]) -> Response:
        return embeddings(list(given))

    return reply


def status(code: int, body: str = "", headers: dict[str, str] | None = None) -> Reply:
    async def reply(_: dict[str, Any]) -> Response:
        return Response(body, status_code=code, headers=headers)

    return reply


def refusing(word: str) -> Reply:
    """A 400 for any request with a text that holds the word, as servers answer for a text that is too long."""

    async def reply(request: dict[str, Any]) -> Response:
        if any(word in text for text in request["input"]):
            return Response('{"error": {"message": "input is too long"}}', status_code=400)
        return await good(request)

    return reply


def blind_to(word: str) -> Reply:
    """A vector of NaN for each text that holds the word."""

    async def reply(request: dict[str, Any]) -> Response:
        return embeddings(
            [[float("nan")] * DIMENSION if word in text else vector_of(text) for text in request["input"]]
        )

    return reply


async def hang(_: dict[str, Any]) -> Response:
    await asyncio.sleep(30)
    return Response()


async def trickle(_: dict[str, Any]) -> Response:
    async def bytes_for_ever() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(bytes_for_ever())


async def break_off(_: dict[str, Any]) -> Response:
    return Response(b"half", headers={"Content-Length": "1000"})


class EmbeddingServer:
    """``script``: answers to the first requests, in order; ``always`` to the others.

    ``requests`` and ``headers``: what was asked.
    """

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.always: Reply = good
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/embeddings", self._embeddings, methods=["POST"])])

    async def _embeddings(self, request: Request) -> Response:
        asked = await request.json()
        self.requests.append(asked)
        self.headers.append(dict(request.headers))
        reply = self.script.pop(0) if self.script else self.always
        return await reply(asked)


@contextmanager
def server_process(port: int = 0, *, refuses: str = "") -> Iterator["ServerProcess"]:
    """The server in a process of its own, killed at the end; on a free port unless one is given."""
    command = [sys.executable, "-m", __name__, str(port), *([refuses] if refuses else [])]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield ServerProcess(process, port=int(process.stdout.readline()))
        finally:
            process.kill()


class ServerProcess:
    """``url`` for as long as it lives. It answers well but for the word that it ``refuses``."""

    def __init__(self, process: subprocess.Popen[str], *, port: int) -> None:
        self._process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def kill(self) -> list[str]:
        """SIGKILL; gives the texts that it was asked for."""
        self._process.kill()
        assert self._process.stdout is not None
        return [text for line in self._process.stdout for text in json.loads(line)]


@contextmanager
def running_server() -> Iterator[EmbeddingServer]:
    embedding_server = EmbeddingServer()
    listening = socket.create_server(("127.0.0.1", 0))
    embedding_server.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(
        embedding_server.app, log_level="critical", timeout_graceful_shutdown=0, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield embedding_server
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


def main(port: int, refuses: str | None) -> None:
    """Serve until killed: the port on the first line of stdout, then a line with the texts of each request."""

    async def reply(request: dict[str, Any]) -> Response:
        print(json.dumps(request["input"]), flush=True)  # noqa: T201  the test reads it
        return await (refusing(refuses) if refuses else good)(request)

    embedding_server = EmbeddingServer()
    embedding_server.always = reply
    listening = socket.create_server(("127.0.0.1", port))
    print(listening.getsockname()[1], flush=True)  # noqa: T201  the test reads it
    config = uvicorn.Config(embedding_server.app, log_level="critical", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(int(sys.argv[1]), next(iter(sys.argv[2:]), None))
