import asyncio
import gc
import time
from pathlib import Path

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab import rate_limit
from surgical_pipeline.gitlab.errors import RateLimitedError
from surgical_pipeline.gitlab.pacing import RETURN_SECONDS, RETURNING_SECONDS
from surgical_pipeline.gitlab.rate_limit import MAX_EMPTY_WAIT_SECONDS, RateLimiter, shared_limiter

ORIGIN = ("https", "gitlab.example.com", 443)


def deadline(seconds: float = 5) -> Deadline:
    return Deadline.after(seconds, time.monotonic)


async def take(limiter: RateLimiter, seconds: float = 5) -> None:
    async with limiter.place(deadline(seconds), "/path"):
        pass


def start_of(limiter: RateLimiter) -> float:
    return asyncio.run(limiter._reserve_start())


def test_one_token_on_one_origin_has_one_limiter() -> None:
    first = shared_limiter(ORIGIN, "token-a", max_in_flight=8)
    assert shared_limiter(ORIGIN, "token-a", max_in_flight=4) is first
    assert first.max_in_flight == 4
    assert shared_limiter(ORIGIN, "token-b", max_in_flight=8) is not first
    assert shared_limiter(("http", "gitlab.example.com", 80), "token-a", max_in_flight=8) is not first


def test_neither_registry_nor_folder_knows_the_token(tmp_path: Path) -> None:
    limiter = shared_limiter(ORIGIN, "glpat-very-secret", max_in_flight=8, folder=tmp_path)
    limiter.pause(1)
    assert "glpat-very-secret" not in repr(rate_limit._registry)
    (file,) = tmp_path.iterdir()
    assert b"glpat-very-secret" not in file.name.encode() + file.read_bytes()


def test_each_token_and_origin_has_its_own_file(tmp_path: Path) -> None:
    for origin, token in ((ORIGIN, "a"), (ORIGIN, "b"), (("http", "gitlab.example.com", 80), "a")):
        shared_limiter(origin, token, max_in_flight=8, folder=tmp_path).pause(1)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_limiter_serves_one_event_loop_after_the_other() -> None:
    limiter = RateLimiter(2)

    async def crowd() -> None:
        await asyncio.gather(*(take(limiter) for _ in range(20)))

    for _ in range(3):
        asyncio.run(crowd())
    gc.collect()
    assert len(limiter._places) == 0


def test_several_event_loops_at_once_do_not_disturb_each_other() -> None:
    limiter = RateLimiter(2)

    async def crowd() -> None:
        await asyncio.gather(*(take(limiter) for _ in range(50)))

    async def threads() -> None:
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, crowd()) for _ in range(4)))

    asyncio.run(threads())


def test_a_lower_bound_counts_from_the_next_request() -> None:
    async def peak() -> int:
        limiter = RateLimiter(8)
        await take(limiter)
        limiter.max_in_flight = 2
        inside = most = 0

        async def one() -> None:
            nonlocal inside, most
            async with limiter.place(deadline(), "/path"):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(one() for _ in range(10)))
        return most

    assert asyncio.run(peak()) == 2


def test_a_pause_longer_than_the_budget_is_refused_at_once() -> None:
    now = 1000.0
    limiter = RateLimiter(2, monotonic=lambda: now)
    limiter.pause(30)
    with pytest.raises(RateLimitedError, match="wait 30 s") as raised:
        asyncio.run(take(limiter, 5))
    assert raised.value.retry_after_seconds == 30
    now += 31
    asyncio.run(take(limiter, 5))


def test_a_hopeless_wait_is_refused_even_while_every_place_is_taken() -> None:
    async def refuse() -> None:
        limiter = RateLimiter(1)
        async with limiter.place(deadline(), "/held"):
            limiter.pause(30)
            with pytest.raises(RateLimitedError):
                await take(limiter, 5)

    started = time.monotonic()
    asyncio.run(refuse())
    assert time.monotonic() - started < 1


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    limiter = RateLimiter(2, monotonic=lambda: 0.0)
    limiter.pause(30)
    limiter.pause(1)
    with pytest.raises(RateLimitedError):
        asyncio.run(take(limiter, 20))


def test_plenty_left_costs_nothing_and_few_left_are_spread() -> None:
    now = 1000.0
    limiter = RateLimiter(4, monotonic=lambda: now)
    limiter.observe(500, 60)
    assert start_of(limiter) == now
    limiter.observe(6, 3)
    assert [start_of(limiter) - now for _ in range(3)] == [0, 0.5, 1.0]
    limiter.observe(1, 3600)
    assert start_of(limiter) - now <= 1.5
    limiter.observe(500, 60)
    assert start_of(limiter) == now


def test_the_last_eighth_of_a_large_window_is_spread_too() -> None:
    """Several processes at once come to it with as many requests in flight each."""
    limiter = RateLimiter(16, monotonic=lambda: 0.0)
    limiter.observe(251, 25, limit=2000)
    assert [start_of(limiter) for _ in range(2)] == [0, 0]
    limiter.observe(249, 24.9, limit=2000)
    assert [start_of(limiter) for _ in range(3)] == [0, pytest.approx(0.1), pytest.approx(0.2)]


def test_spreading_ends_with_the_window() -> None:
    now = 1000.0
    limiter = RateLimiter(4, monotonic=lambda: now)
    limiter.observe(2, 3)
    assert [start_of(limiter) - now for _ in range(2)] == [0, 1.5]
    now += 3
    assert start_of(limiter) == now


def test_nobody_waits_beyond_the_window_for_which_requests_are_spread() -> None:
    now = 1000.0
    limiter = RateLimiter(4, monotonic=lambda: now)
    limiter.observe(2, 3)
    assert [start_of(limiter) - now for _ in range(5)] == [0, 1.5, 3, 3, 3]


def test_after_a_pause_requests_come_back_one_after_another() -> None:
    now = 1000.0
    limiter = RateLimiter(4, monotonic=lambda: now)
    limiter.pause(30)
    starts = [start_of(limiter) - now for _ in range(3)]
    assert starts == [
        pytest.approx(30),
        pytest.approx(30 + RETURN_SECONDS),
        pytest.approx(30 + 2 * RETURN_SECONDS),
    ]
    now += 30 + RETURNING_SECONDS
    assert start_of(limiter) == now


def test_spreading_never_costs_anybody_the_budget() -> None:
    limiter = RateLimiter(4)
    limiter.observe(1, 3600)
    started = time.monotonic()
    for _ in range(3):
        asyncio.run(take(limiter, 0.5))
    assert time.monotonic() - started < 1


def test_none_left_is_a_pause_but_never_a_long_one() -> None:
    limiter = RateLimiter(4, monotonic=lambda: 0.0)
    limiter.observe(0, 86_400)
    with pytest.raises(RateLimitedError) as raised:
        asyncio.run(take(limiter, 5))
    assert raised.value.retry_after_seconds == MAX_EMPTY_WAIT_SECONDS


def test_a_limiter_without_places_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        RateLimiter(0)
