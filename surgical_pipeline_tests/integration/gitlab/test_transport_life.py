"""Connections, time and the token: what one client does over its life, over real sockets."""

import asyncio
import logging
import pickle
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.outcomes import HttpStats
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.gitlab import transport
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.errors import (
    BudgetExceededError,
    NetworkError,
    ServerError,
    UnauthorizedError,
)
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline_tests.integration.gitlab.api import AT_ONCE, GOOD_VERSION, VERSION, ask_version
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer, eventually

pytestmark = pytest.mark.anyio


async def test_the_token_travels_in_the_private_token_header_and_nowhere_else(
    server: WireServer, token: str
) -> None:
    server.on(VERSION, GOOD_VERSION)
    assert (await ask_version(server, token))[0] == "18.5.1"
    (request,) = server.requests
    assert request.headers["private-token"] == token
    assert token not in request.path + repr(request.query)
    assert [name for name, value in request.headers.items() if token in value] == ["private-token"]


async def test_without_tls_no_authorities_are_loaded(server: WireServer, token: str) -> None:
    """That takes longer than a small answer."""
    transport._usual_trust.cache_clear()
    server.on(VERSION, GOOD_VERSION)
    assert (await ask_version(server, token))[0] == "18.5.1"
    assert transport._usual_trust.cache_info().misses == 0


async def test_an_endpoint_that_hangs_costs_the_budget_and_no_more(server: WireServer, token: str) -> None:
    server.on(VERSION, Reply(hang=True))
    started = time.monotonic()
    error, stats = await ask_version(server, token, deadline=Deadline.after(1, time.monotonic))
    assert isinstance(error, BudgetExceededError)
    assert error.code is FailureCode.TIMEOUT
    assert 0.95 < time.monotonic() - started < 5
    assert stats.requests == 1


async def test_an_answer_slower_than_the_request_timeout_is_asked_for_again(
    server: WireServer, token: str
) -> None:
    server.on(VERSION, Reply(hang=True), GOOD_VERSION)
    answer, stats = await ask_version(server, token, request_timeout_seconds=0.5)
    assert answer == "18.5.1"
    assert stats.retries == 1


async def test_with_no_time_left_nothing_is_sent(server: WireServer, token: str) -> None:
    server.on(VERSION, GOOD_VERSION)
    error, stats = await ask_version(server, token, deadline=Deadline.after(0, time.monotonic))
    assert isinstance(error, BudgetExceededError)
    assert stats == HttpStats()
    assert server.requests == []


async def test_a_backoff_that_does_not_fit_the_budget_is_not_waited_for(server: WireServer, token: str) -> None:
    server.on(VERSION, Reply(b"", status=503, content_type=None))
    patient = RetryPolicy(base_seconds=60, cap_seconds=60, uniform=lambda: 1.0)
    started = time.monotonic()
    error, stats = await ask_version(server, token, retry=patient)
    assert isinstance(error, ServerError)
    assert time.monotonic() - started < 2
    assert stats.requests == 1


async def test_a_cancelled_request_gives_its_place_back(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    server.on(VERSION, Reply(hang=True), GOOD_VERSION)
    async with GitLabClient(server.url, token, max_in_flight=1) as client:
        hanging = asyncio.create_task(client.version(deadline))
        await eventually(lambda: bool(server.requests))
        waiting = asyncio.create_task(client.version(deadline))
        await asyncio.sleep(0)
        hanging.cancel()
        assert await waiting == "18.5.1"
        with pytest.raises(asyncio.CancelledError):
            await hanging


async def test_connections_are_kept_for_the_next_request(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    server.on(VERSION, GOOD_VERSION)
    async with GitLabClient(server.url, token) as client:
        for _ in range(5):
            await client.version(deadline)
        assert len(server.open_connections) == 1


async def test_a_client_can_be_entered_again_in_another_event_loop(token: str) -> None:
    def one_life() -> str:
        async def life() -> str:
            async with WireServer() as server:
                server.on(VERSION, GOOD_VERSION)
                answer, _ = await ask_version(server, token)
                return str(answer)

        return asyncio.run(life())

    assert [await asyncio.to_thread(one_life) for _ in range(3)] == ["18.5.1"] * 3


async def test_the_token_is_in_no_repr_log_or_pickled_error(
    server: WireServer, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on(VERSION, Reply(b"", status=500, content_type=None), Reply(b"", status=401, content_type=None))
    error, _ = await ask_version(server, token)
    assert isinstance(error, UnauthorizedError)
    client = GitLabClient(server.url, token)
    assert caplog.records
    logged = " ".join(record.getMessage() for record in caplog.records)
    for text in (logged, repr(client), str(client), repr(error), str(error), repr(client._transport)):
        assert token not in text
    assert token.encode() not in pickle.dumps(error)
    assert pickle.loads(pickle.dumps(error)).message == error.message  # noqa: S301  our own bytes


@pytest.mark.parametrize(
    "echo", ["HTTP/1.1 200 OK\r\n{}\r\n\r\n", "{}\r\n\r\n"], ids=["as a header", "as an answer"]
)
async def test_a_server_that_echoes_the_request_brings_the_token_into_no_traceback_or_log(
    token: str, deadline: Deadline, echo: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.NOTSET)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        (line,) = [line for line in head.split("\r\n") if token in line]
        writer.write(echo.format(line.replace(":", "")).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, GitLabClient(url, token, retry=RetryPolicy(max_attempts=1)) as client:
        with pytest.raises(NetworkError, match=r"\[token\]") as raised:
            await client.version(deadline)
    assert token not in "".join(traceback.format_exception(raised.value))
    assert not [record for record in caplog.records if token in record.getMessage()]


async def test_http2_never_logs_its_headers(server: WireServer, token: str) -> None:
    """hpack writes header values out at DEBUG, so that level is closed while there is a client."""
    logging.getLogger("hpack").setLevel(logging.NOTSET)
    async with GitLabClient(server.url, token):
        assert not logging.getLogger("hpack.hpack").isEnabledFor(logging.DEBUG)
        assert not logging.getLogger("hpack.table").isEnabledFor(logging.DEBUG)


async def test_a_ca_bundle_that_cannot_be_read_is_named(tmp_path: Path, token: str) -> None:
    bundle = tmp_path / "ca.pem"
    for content in (None, "no certificate"):
        if content is not None:
            bundle.write_text(content)
        with pytest.raises(ValueError, match=r"CA bundle .*ca\.pem"):
            async with GitLabClient("https://gitlab.example.com", token, ca_bundle=bundle):
                pass


async def test_a_client_used_outside_its_block_says_so(server: WireServer, token: str, deadline: Deadline) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await GitLabClient(server.url, token).version(deadline)


async def test_an_entity_carries_the_moment_its_last_request_was_sent(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    """Waiting for a retry must not make fresh data look old."""
    began = datetime(2024, 1, 1, tzinfo=UTC)
    seconds = map(float, range(60))
    read: list[float] = []

    def uptime() -> float:
        read.append(next(seconds))
        return read[-1]

    server.on("/api/v4/projects/7/issues", Reply(b"", status=503, content_type=None), Reply([{"iid": 1}]))
    retry = AT_ONCE
    clock = GitLabClock(wall=lambda: began, uptime=uptime)
    async with GitLabClient(server.url, token, clock=clock, retry=retry) as client:
        found = await client.entities_by_iids(7, EntityType.ISSUE, iids=[1], deadline=deadline)
    assert found.items == ({"iid": 1},)
    first_sent, answered = read[1], read[-1]
    assert first_sent + 1 < (found.fetched_at - began).total_seconds() < answered
