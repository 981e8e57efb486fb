"""What the client makes of the wire: everything that can go wrong between two ends, over real sockets."""

import gzip

import pytest

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.gitlab.errors import (
    CrossOriginError,
    ForbiddenError,
    GitLabError,
    InvalidPayloadError,
    NetworkError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
)
from surgical_pipeline_tests.integration.gitlab.api import GOOD_VERSION, VERSION, ask_version
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "failing",
    [
        Reply(b"<html>bad gateway</html>", status=502, content_type="text/html"),
        Reply(b"", status=500, content_type=None),
        Reply({"message": "timeout"}, status=408),
        Reply(b"Retry later\n", status=429, content_type="text/plain"),
        Reply(hang_up=True),
        Reply({"version": "18.5.1"}, cut_after=5),
        Reply(b'{"version": "18'),
        Reply(b"", content_type="application/json"),
        Reply(b"<html></html>", content_type="text/html"),
        Reply(b"\xff\xfe\x00"),
        Reply(b'{"version": NaN}'),
        Reply(b"[" * 100_000),
    ],
    ids=[
        "502", "500 without a body", "408", "429 as plain text", "hang-up before the answer", "cut body",
        "truncated JSON", "empty body", "HTML", "no UTF-8", "NaN", "bottomless nesting",
    ],
)  # fmt: skip
async def test_a_passing_fault_is_retried_and_counted(server: WireServer, token: str, failing: Reply) -> None:
    server.on(VERSION, failing, failing, GOOD_VERSION)
    answer, stats = await ask_version(server, token)
    assert answer == "18.5.1"
    assert (stats.requests, stats.retries) == (3, 2)


@pytest.mark.parametrize(
    ("lasting", "expected", "code"),
    [
        (Reply(b"down", status=503, content_type="text/plain"), ServerError, FailureCode.SERVER_ERROR),
        (Reply(b"", status=429, content_type=None), RateLimitedError, FailureCode.RATE_LIMITED),
        (Reply(hang_up=True), NetworkError, FailureCode.NETWORK_ERROR),
        (Reply(b"{", content_type="application/json"), InvalidPayloadError, FailureCode.INVALID_PAYLOAD),
    ],
    ids=["503", "429", "hang-up", "broken JSON"],
)
async def test_a_lasting_fault_ends_after_the_last_attempt_with_its_own_code(
    server: WireServer, token: str, lasting: Reply, expected: type[GitLabError], code: FailureCode
) -> None:
    server.on(VERSION, lasting)
    error, stats = await ask_version(server, token)
    assert isinstance(error, expected)
    assert error.code is code
    assert VERSION in error.message
    assert (stats.requests, stats.retries) == (4, 3)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, InvalidPayloadError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (407, NetworkError),
        (410, InvalidPayloadError),
        (422, InvalidPayloadError),
        (204, InvalidPayloadError),
        (304, InvalidPayloadError),
    ],
)
async def test_a_refusal_is_never_retried(
    server: WireServer, token: str, status: int, expected: type[GitLabError]
) -> None:
    body = b"" if status in (204, 304) else {"message": f"{status} said GitLab"}
    server.on(VERSION, Reply(body, status=status))
    error, stats = await ask_version(server, token)
    assert type(error) is expected
    assert error.status == status
    assert stats.requests == 1


async def test_gitlabs_own_words_are_in_the_message_but_never_the_token(server: WireServer, token: str) -> None:
    server.on(
        VERSION, Reply({"error": "invalid_token", "error_description": f"Token {token} revoked"}, status=401)
    )
    error, _ = await ask_version(server, token)
    assert isinstance(error, UnauthorizedError)
    assert error.message == f"GitLab answered 401 Unauthorized: Token [token] revoked (GET {VERSION})"


async def test_an_html_login_page_ends_as_an_invalid_payload_that_says_so(server: WireServer, token: str) -> None:
    page = b'<!DOCTYPE html><form action="/users/sign_in"><input type="password"></form>'
    server.on(VERSION, Reply(page, content_type="text/html; charset=utf-8"))
    error, stats = await ask_version(server, token)
    assert isinstance(error, InvalidPayloadError)
    assert "HTML login page" in error.message
    assert stats.requests == 4


async def test_a_404_that_is_no_json_is_not_taken_for_gitlabs_word(server: WireServer, token: str) -> None:
    """A proxy that lost its backend must not let entities look deleted."""
    server.on(VERSION, Reply(b"<h1>nginx</h1>", status=404, content_type="text/html"))
    error, _ = await ask_version(server, token)
    assert type(error) is InvalidPayloadError


async def test_a_redirect_to_the_login_page_is_not_followed(server: WireServer, token: str) -> None:
    server.on(VERSION, Reply(b"", status=302, headers={"Location": "/users/sign_in"}))
    error, stats = await ask_version(server, token)
    assert type(error) is InvalidPayloadError
    assert "login page" in error.message
    assert stats.requests == 1


async def test_a_redirect_to_another_origin_is_refused_and_nothing_is_sent_there(
    server: WireServer, token: str
) -> None:
    async with WireServer() as elsewhere:
        server.on(VERSION, Reply(b"", status=302, headers={"Location": f"{elsewhere.url}{VERSION}"}))
        error, _ = await ask_version(server, token)
        assert isinstance(error, CrossOriginError)
        assert elsewhere.requests == []


async def test_an_answer_beyond_the_limit_is_refused_without_reading_it_all(
    server: WireServer, token: str
) -> None:
    server.on(VERSION, Reply(b'"' + b"x" * 5_000_000 + b'"'))
    error, stats = await ask_version(server, token, max_answer_bytes=100_000)
    assert isinstance(error, InvalidPayloadError)
    assert "larger than 100000 bytes" in error.message
    assert stats.requests == 1


async def test_the_limit_counts_bytes_after_decompression(server: WireServer, token: str) -> None:
    bomb = gzip.compress(b'"' + b"x" * 20_000_000 + b'"')
    server.on(VERSION, Reply(bomb, headers={"Content-Encoding": "gzip"}))
    error, _ = await ask_version(server, token, max_answer_bytes=1_000_000)
    assert isinstance(error, InvalidPayloadError)
    assert "larger than" in error.message


async def test_a_compressed_answer_is_read(server: WireServer, token: str) -> None:
    server.on(VERSION, Reply(gzip.compress(b'{"version": "18.5.1"}'), headers={"Content-Encoding": "gzip"}))
    assert (await ask_version(server, token))[0] == "18.5.1"


async def test_a_port_where_nobody_listens_is_a_network_error(token: str) -> None:
    async with WireServer() as gone:
        pass
    error, stats = await ask_version(gone, token)
    assert isinstance(error, NetworkError)
    assert stats.requests == 4
