"""What a hostile or broken server can do to memory, and where it can put the token."""

import gzip
import json
import logging
import time
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache
from urllib.parse import quote

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import (
    GitLabError,
    InvalidPayloadError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
)
from surgical_pipeline.gitlab.foreign import ForeignText
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer

pytestmark = pytest.mark.anyio

VERSION = "/api/v4/version"
GOOD = b'{"version": "18.5.1"}'
LIMIT = 1_000_000
BOMB_BYTES = 200 * 1024 * 1024


def client_of(server: WireServer, token: str) -> GitLabClient:
    return GitLabClient(server.url, token, retry=RetryPolicy(base_seconds=0.0), max_answer_bytes=LIMIT)


async def ask(server: WireServer, token: str) -> str | GitLabError:
    async with client_of(server, token) as client:
        try:
            return await client.version(Deadline.after(30, time.monotonic))
        except GitLabError as error:
            return error


def packed(body: bytes, encoding: str) -> Reply:
    return Reply(body, headers={"Content-Encoding": encoding})


@cache
def bomb() -> bytes:
    """Some hundred kilobytes of gzip that are 200 MB."""
    deflate = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    zeros = b" " * (1024 * 1024)
    return b"".join(deflate.compress(zeros) for _ in range(BOMB_BYTES // len(zeros))) + deflate.flush()


# ---------------------------------------------------------------------- encodings


async def test_one_encoding_is_asked_for(server: WireServer, token: str) -> None:
    server.on(VERSION, Reply(GOOD))
    await ask(server, token)
    assert server.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("encoding", ["gzip", "GZip", "x-gzip", "identity, gzip", ""])
async def test_one_layer_of_gzip_is_taken_off(server: WireServer, token: str, encoding: str) -> None:
    server.on(VERSION, packed(gzip.compress(GOOD) if encoding else GOOD, encoding))
    assert await ask(server, token) == "18.5.1"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip, gzip", gzip.compress(gzip.compress(GOOD))),
        ("gzip, identity, gzip", gzip.compress(gzip.compress(GOOD))),
        ("deflate", zlib.compress(GOOD)),
        ("br", b"\x0b\x0a\x80"),
        ("zstd", b"(\xb5/\xfd"),
        ("br, gzip", b"?"),
        ("unheard-of", GOOD),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # a packed body holds the time of its packing
)
async def test_any_other_packing_is_an_invalid_payload_of_that_request(
    server: WireServer, token: str, encoding: str, body: bytes
) -> None:
    server.on(VERSION, packed(body, encoding))
    error = await ask(server, token)
    assert isinstance(error, InvalidPayloadError)
    assert "packed otherwise" in error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [b"no gzip at all", gzip.compress(GOOD)[:-9], gzip.compress(GOOD) + b"and more", gzip.compress(GOOD) * 2, b""],
    ids=["no gzip", "cut off", "followed by more", "twice", "empty"],
)
async def test_gzip_that_is_not_whole_is_an_invalid_payload_after_the_usual_attempts(
    server: WireServer, token: str, body: bytes
) -> None:
    server.on(VERSION, packed(body, "gzip"))
    error = await ask(server, token)
    assert isinstance(error, InvalidPayloadError)
    assert "not whole, valid gzip" in error.message
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("encoding", "layers"), [("gzip", 1), ("gzip, gzip", 2), ("deflate, gzip", 2), ("gzip, gzip, gzip", 3)]
)
async def test_some_kilobytes_never_become_more_than_the_limit_in_memory(
    server: WireServer, token: str, encoding: str, layers: int
) -> None:
    body = bomb()
    for _ in range(layers - 1):
        body = gzip.compress(body)
    server.on(VERSION, packed(body, encoding))
    tracemalloc.start()
    try:
        error = await ask(server, token)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, InvalidPayloadError)
    assert error.as_failure("preflight").code is FailureCode.INVALID_PAYLOAD
    assert len(body) < LIMIT
    assert peak < 8 * LIMIT


async def test_a_bomb_as_an_errors_body_is_no_danger_and_the_status_stands(server: WireServer, token: str) -> None:
    tracemalloc.start()
    try:
        for encoding in ("gzip", "gzip, gzip"):
            server.on(VERSION, Reply(bomb(), status=401, headers={"Content-Encoding": encoding}))
            assert isinstance(await ask(server, token), UnauthorizedError)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * LIMIT


async def test_the_next_request_finds_the_client_whole(server: WireServer, token: str, deadline: Deadline) -> None:
    server.on(VERSION, packed(bomb(), "gzip"), packed(gzip.compress(GOOD), "gzip"))
    async with client_of(server, token) as client:
        with pytest.raises(InvalidPayloadError, match="larger than"):
            await client.version(deadline)
        assert await client.version(deadline) == "18.5.1"


async def test_a_404_that_cannot_be_unpacked_is_not_taken_for_gitlabs_word(server: WireServer, token: str) -> None:
    server.on(VERSION, Reply(b"?", status=404, headers={"Content-Encoding": "br"}))
    assert type(await ask(server, token)) is InvalidPayloadError


# ---------------------------------------------------------------------- the token, echoed

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "percent-encoded": lambda token: "".join(f"%{ord(char):02X}" for char in token),
    "partly percent-encoded": lambda token: token.replace("-", "%2d").replace("t", "%74"),
    "percent-encoded twice": lambda token: quote(token.replace("-", "%2D")),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(Reply(b"x", content_type="text/{}"), InvalidPayloadError, id="Content-Type"),
        pytest.param(Reply({"message": "{} revoked"}, status=401), UnauthorizedError, id="error body"),
        pytest.param(Reply({"error": "{}"}, status=500), ServerError, id="body of a 500"),
        pytest.param(Reply({"error": "{}"}, status=429), RateLimitedError, id="body of a 429"),
        pytest.param(
            Reply(b"", status=302, headers={"Location": "http://{}.example/"}), InvalidPayloadError, id="Location"
        ),
        pytest.param(
            Reply(b"", status=302, headers={"Location": "/login/{}?t={}"}), InvalidPayloadError, id="our Location"
        ),
        pytest.param(Reply({"version": {"{}": "{}"}}), InvalidPayloadError, id="payload"),
        pytest.param(packed(b"x", "{}"), InvalidPayloadError, id="Content-Encoding"),
        pytest.param(Reply(b"x", headers={"Content-Length": "{}"}), GitLabError, id="a header that is none"),
    ],
)
async def test_no_message_holds_the_token_wherever_a_server_echoes_it(
    server: WireServer, token: str, reply: Reply, expected: type[GitLabError], spelling: str
) -> None:
    echo = SPELLINGS[spelling](token)
    body = reply.encoded().replace(b"{}", echo.encode())
    headers = {name: value.replace("{}", echo) for name, value in reply.headers.items()}
    headers |= {"X-Echo": echo, "Retry-After": "0", "Server": echo}
    content_type = (reply.content_type or "").replace("{}", echo)
    server.on(VERSION, Reply(body, status=reply.status, headers=headers, content_type=content_type))
    error = await ask(server, token)
    assert isinstance(error, expected)
    foreign = ForeignText(token)
    chain = [error, error.__cause__]
    assert not [one for one in chain if foreign.holds_token(f"{one} {one!r} {vars(error)}".encode())]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_the_token_never_goes_into_an_address(
    server: WireServer, token: str, deadline: Deadline, spelling: str
) -> None:
    """A link or a redirect on our own origin would put it into logs on the way."""
    echo = SPELLINGS[spelling](token)
    project, issues = "/api/v4/projects/acme%2Frocket", "/api/v4/projects/7/issues"
    server.on(project, Reply(b"", status=301, headers={"Location": f"/api/v4/projects/7?private_token={echo}"}))
    server.on(issues, Reply([], headers={"Link": f'<{issues}?page=2&private_token={echo}>; rel="next"'}))
    async with client_of(server, token) as client:
        with pytest.raises(InvalidPayloadError, match="holds the token"):
            await client.project("acme/rocket", deadline)
        with pytest.raises(InvalidPayloadError, match="holds the token"):
            await client.entities_by_iids(7, EntityType.ISSUE, iids=[1], deadline=deadline)
    assert [request.path for request in server.requests] == [project, issues]


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_what_a_payload_echoes_is_read_without_the_token(
    server: WireServer, token: str, deadline: Deadline, spelling: str
) -> None:
    echo = SPELLINGS[spelling](token)
    item = {"id": 7, "path_with_namespace": "acme/rocket", "description": f"see {echo}!", "zip": "ä"}
    escaped = json.dumps(item).replace("s", "\\u0073").encode()
    for body in (json.dumps(item).encode(), escaped):
        server.on("/api/v4/projects/7", Reply(body))
        async with client_of(server, token) as client:
            project = await client.project("7", deadline)
        assert json.loads(project.payload) == item | {"description": "see [token]!"}


async def test_no_log_of_a_library_tells_what_a_server_echoes(
    server: WireServer, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(VERSION, Reply(GOOD, headers={"X-Echo": token}))
    assert await ask(server, token) == "18.5.1"
    assert token not in caplog.text
    assert VERSION not in caplog.text
