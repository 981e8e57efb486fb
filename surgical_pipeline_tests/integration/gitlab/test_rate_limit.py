"""One limiter for everything that uses a token, over real sockets."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import uptime
from surgical_pipeline.gitlab.errors import BudgetExceededError, RateLimitedError
from surgical_pipeline.gitlab.pacing import Priority
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline.gitlab.shared_pacing import SharedPacing
from surgical_pipeline_tests.integration.gitlab.api import AT_ONCE, GOOD_VERSION, VERSION
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer, eventually

pytestmark = pytest.mark.anyio


def refused(**headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(b"Retry later\n", status=429, content_type="text/plain", headers=named)


async def test_never_more_requests_are_in_flight_than_allowed(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    gate = asyncio.Event()
    server.on(VERSION, replace(GOOD_VERSION, gate=gate))
    async with GitLabClient(server.url, token, max_in_flight=3) as client:
        asked = [asyncio.create_task(client.version(deadline)) for _ in range(20)]
        await eventually(lambda: server.in_flight == 3)
        for _ in range(20):
            await asyncio.sleep(0)
        assert server.in_flight == 3
        gate.set()
        await asyncio.gather(*asked)
    assert server.peak == 3
    assert len(server.requests) == 20


async def test_two_clients_of_one_token_share_the_bound(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    gate = asyncio.Event()
    server.on(VERSION, replace(GOOD_VERSION, gate=gate))
    async with (
        GitLabClient(server.url, token, max_in_flight=2) as one,
        GitLabClient(server.url, token, max_in_flight=2) as two,
    ):
        asked = [asyncio.create_task(client.version(deadline)) for client in (one, two) for _ in range(5)]
        await eventually(lambda: server.in_flight == 2)
        gate.set()
        await asyncio.gather(*asked)
    assert server.peak == 2


async def test_a_wait_for_a_place_ends_with_the_budget(server: WireServer, token: str, deadline: Deadline) -> None:
    server.on(VERSION, Reply(hang=True))
    async with GitLabClient(server.url, token, max_in_flight=1) as client:
        hanging = asyncio.create_task(client.version(deadline))
        await eventually(lambda: bool(server.requests))
        with pytest.raises(BudgetExceededError, match="in flight"):
            await client.version(Deadline.after(0.1, time.monotonic))
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_waited_out_where_it_fits(
    server: WireServer, token: str, deadline: Deadline, form: str
) -> None:
    now = datetime.now(UTC)
    date = {"Date": format_datetime(now, usegmt=True)}
    later = format_datetime(now + timedelta(seconds=1), usegmt=True)
    server.on(VERSION, refused(Retry_After="1" if form == "seconds" else later, **date), GOOD_VERSION)
    async with GitLabClient(server.url, token, retry=AT_ONCE) as client:
        started = time.monotonic()
        assert await client.version(deadline) == "18.5.1"
        assert 0.9 < time.monotonic() - started < 3
        assert (client.stats.rate_limited, client.stats.retries) == (1, 1)


@pytest.mark.parametrize("headers", [{"Retry_After": "60"}, {"RateLimit_Remaining": "0", "RateLimit_Reset": "60"}])
async def test_retry_after_beyond_the_budget_is_told_at_once_and_holds_for_everybody(
    server: WireServer, token: str, deadline: Deadline, headers: dict[str, str]
) -> None:
    if "RateLimit_Reset" in headers:
        headers = headers | {"RateLimit_Reset": str(int(time.time()) + 60)}
    server.on(VERSION, refused(**headers), GOOD_VERSION)
    started = time.monotonic()
    async with GitLabClient(server.url, token) as one, GitLabClient(server.url, token) as two:
        with pytest.raises(RateLimitedError) as raised:
            await one.version(deadline)
        assert raised.value.retry_after_seconds == pytest.approx(60, abs=2)
        with pytest.raises(RateLimitedError, match="asked to wait"):
            await two.version(deadline)
    assert time.monotonic() - started < 2
    assert len(server.requests) == 1


async def test_another_token_does_not_wait_along(server: WireServer, token: str, deadline: Deadline) -> None:
    server.on(VERSION, refused(Retry_After="60"), GOOD_VERSION)
    async with GitLabClient(server.url, token) as one, GitLabClient(server.url, token + "-other") as other:
        with pytest.raises(RateLimitedError):
            await one.version(deadline)
        assert await other.version(deadline) == "18.5.1"


async def test_a_429_pauses_those_who_come_after_it(server: WireServer, token: str, deadline: Deadline) -> None:
    server.on(VERSION, refused(Retry_After="1"), GOOD_VERSION)
    async with GitLabClient(server.url, token, retry=AT_ONCE) as client:
        first = asyncio.create_task(client.version(deadline))
        await eventually(lambda: client.stats.rate_limited == 1)
        started = time.monotonic()
        assert await client.version(deadline) == "18.5.1"
        assert time.monotonic() - started > 0.8
        assert await first == "18.5.1"
    assert client.stats.rate_limited == 1


async def test_many_refusals_in_a_row_are_waited_out_but_not_for_ever(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    server.on(VERSION, refused(Retry_After="0"))
    policy = RetryPolicy(max_attempts=2, max_rate_limit_waits=5, base_seconds=0.0)
    async with GitLabClient(server.url, token, retry=policy) as client:
        with pytest.raises(RateLimitedError):
            await client.version(deadline)
    assert client.stats.rate_limited == 6


async def test_few_requests_left_are_spread_over_the_window(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    now = int(time.time())
    headers = {
        "RateLimit-Remaining": "4",
        "RateLimit-Reset": str(now + 2),
        "Date": format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True),
    }
    server.on(VERSION, replace(GOOD_VERSION, headers=headers))
    async with GitLabClient(server.url, token, max_in_flight=4) as client:
        await client.version(deadline)
        started = time.monotonic()
        await asyncio.gather(*(client.version(deadline) for _ in range(3)))
        assert 0.4 < time.monotonic() - started < 3


async def test_one_processs_refusal_pauses_the_other_processes(
    server: WireServer, token: str, deadline: Deadline, tmp_path: Path
) -> None:
    """Each has a limiter of its own; what they share is a file."""
    path = tmp_path / "pacing"
    server.on(VERSION, refused(Retry_After="1"), GOOD_VERSION)
    one, two = (RateLimiter(pacing=SharedPacing(path, uptime)) for _ in range(2))
    async with (
        GitLabClient(server.url, token, limiter=one, retry=AT_ONCE) as refused_one,
        GitLabClient(server.url, token, limiter=two, retry=AT_ONCE) as other,
    ):
        asked = asyncio.create_task(refused_one.version(deadline))
        await eventually(lambda: SharedPacing(path, uptime).read().paused_until > 0)
        started = time.monotonic()
        assert await other.version(deadline) == "18.5.1"
        assert time.monotonic() - started > 0.8
        assert await asked == "18.5.1"
    assert len(server.requests) == 3


async def test_a_persons_request_overtakes_those_of_another_processs_backfill(
    server: WireServer, token: str, deadline: Deadline, tmp_path: Path
) -> None:
    path, now = tmp_path / "pacing", uptime()
    server.on(VERSION, GOOD_VERSION)
    backfill, person = (RateLimiter(pacing=SharedPacing(path, uptime)) for _ in range(2))
    SharedPacing(path, uptime).update(lambda value: (value.spread(remaining=100, until=now + 50, now=now), None))
    async with (
        GitLabClient(server.url, token, limiter=backfill, priority=Priority.BACKGROUND) as many,
        GitLabClient(server.url, token, limiter=person) as one,
    ):
        asked = [asyncio.create_task(many.version(deadline)) for _ in range(8)]
        await eventually(lambda: SharedPacing(path, uptime).read().next_starts[Priority.BACKGROUND] > now + 3)
        started = time.monotonic()
        await one.version(deadline)
        assert time.monotonic() - started < 1
        assert sum(task.done() for task in asked) < 4
        await asyncio.gather(*asked)


@pytest.fixture
def shared_files(tmp_path: Path) -> Callable[[], list[str]]:
    return lambda: [path.suffix for path in tmp_path.iterdir()]


async def test_what_one_ledgers_runs_share_stands_in_its_folder(
    server: WireServer, token: str, deadline: Deadline, tmp_path: Path, shared_files: Callable[[], list[str]]
) -> None:
    server.on(VERSION, refused(Retry_After="0"), GOOD_VERSION)
    async with GitLabClient(server.url, token, retry=AT_ONCE, limits_folder=tmp_path) as client:
        await client.version(deadline)
    assert shared_files() == [".pacing"]
