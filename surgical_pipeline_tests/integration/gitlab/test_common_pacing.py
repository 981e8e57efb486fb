"""One rate limit for one token over all machines: what is a machine here has a folder and a clock of its own."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab import common_pacing
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import uptime
from surgical_pipeline.gitlab.common_pacing import CommonPacing
from surgical_pipeline.gitlab.errors import RateLimitedError
from surgical_pipeline.gitlab.pacing import RETURN_SECONDS, Priority, Times
from surgical_pipeline.gitlab.rate_limit import RateLimiter, shared_limiter
from surgical_pipeline.gitlab.shared_pacing import SharedPacing
from surgical_pipeline.ledger.postgres.address import Address
from surgical_pipeline.ledger.postgres.pacing import RequestPacing
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.gitlab.api import AT_ONCE
from surgical_pipeline_tests.integration.gitlab.wire_server import eventually
from surgical_pipeline_tests.postgres_server import PostgresServer

pytestmark = pytest.mark.anyio
T = TypeVar("T")
HOURS_OFF = 12_345.0


@dataclass
class Counted:
    """The row of the database, and how often it was asked."""

    row: RequestPacing
    asked: int = 0

    @property
    def location(self) -> str:
        return self.row.location

    def look(self, key: str) -> tuple[Times, float]:
        self.asked += 1
        return self.row.look(key)

    def exchange(self, key: str, change: Callable[[Times, float], tuple[Times, T]]) -> T:
        self.asked += 1
        return self.row.exchange(key, change)

    def close(self) -> None:
        self.row.close()


@dataclass
class Machine:
    """A process on a machine of its own, by whose clock it is later by ``ahead``."""

    folder: Path
    address: Address
    ahead: float = 0.0
    common: Counted = field(init=False)
    pacing: CommonPacing = field(init=False)
    limiter: RateLimiter = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.common = Counted(RequestPacing(self.address))
        own = SharedPacing(self.folder / "pacing", self.clock)
        self.pacing = CommonPacing(own, self.common, key="the-key", clock=self.clock)
        self.limiter = RateLimiter(monotonic=self.clock, pacing=self.pacing)

    def clock(self) -> float:
        return uptime() + self.ahead

    def few_left(self, remaining: int, *, seconds: float) -> None:
        self.limiter.observe(remaining, seconds, limit=1_000_000)

    async def starts(self, count: int, priority: Priority = Priority.PEOPLE) -> list[float]:
        """When so many requests that come at once may begin, by the test's clock."""
        found = await asyncio.gather(*(self.pacing.reserve(priority, self.clock) for _ in range(count)))
        return sorted(start - self.ahead for start in found)

    def goes_on_together(self) -> bool:
        self.pacing.read()
        return self.pacing.together is not False

    def hears_of(self, *, gap: bool) -> bool:
        return bool(self.pacing.read().gap_seconds) == gap


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, a database that is there may take longer than a second."""
    monkeypatch.setattr(common_pacing, "PATIENCE_SECONDS", 20.0)


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    with postgres.temporary() as made:
        yield made


@pytest.fixture
def machines(postgres: PostgresServer, database: str, tmp_path: Path) -> Iterator[tuple[Machine, Machine]]:
    address = postgres.address(database)
    made = Machine(tmp_path / "one", address), Machine(tmp_path / "two", address, ahead=HOURS_OFF)
    yield made
    for machine in made:
        machine.common.close()


async def test_places_are_given_once_over_all_machines_whatever_their_clocks_say(
    machines: tuple[Machine, Machine],
) -> None:
    one, two = machines
    one.few_left(1_000, seconds=200)
    await eventually(lambda: two.hears_of(gap=True))
    found = await asyncio.gather(*(machine.starts(20) for machine in machines))
    gaps = [after - before for before, after in pairwise(sorted(start for starts in found for start in starts))]
    assert sum(gaps) == pytest.approx(39 * 0.2, abs=0.5)
    assert min(gaps) > 0.05


async def test_people_go_before_the_backfills_of_other_machines(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    one.few_left(1_000, seconds=500)
    backfill = await one.starts(16, Priority.BACKGROUND)
    person = await two.starts(3)
    assert person[-1] < backfill[8]
    assert (await one.starts(1, Priority.BACKGROUND))[0] > backfill[-1] + 3 * 0.4


async def test_a_pause_and_its_end_are_heard_by_who_only_goes_on(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    await two.starts(1)  # plenty left: from now on it only looks
    one.limiter.pause(30)
    await eventually(lambda: two.pacing.read().paused_until > two.clock() + 29)
    one.few_left(10, seconds=20)
    await eventually(lambda: two.hears_of(gap=True))
    one.limiter.observe(999_999, 20, limit=1_000_000)
    await eventually(lambda: two.hears_of(gap=False))


async def test_with_plenty_left_a_request_costs_no_round_trip(machines: tuple[Machine, Machine]) -> None:
    one, _ = machines
    deadline = Deadline.after(60, time.monotonic)
    began = uptime()
    for _ in range(3_000):
        async with one.limiter.place(deadline, "/path"):
            pass
    assert one.common.asked <= 2 + (uptime() - began) / common_pacing.LOOK_SECONDS


async def test_wishes_that_wait_at_the_same_time_go_together(machines: tuple[Machine, Machine]) -> None:
    one, _ = machines
    one.few_left(1_000, seconds=200)
    await one.starts(1)
    before = one.common.asked
    await one.starts(200)
    assert one.common.asked - before < 100


@pytest.mark.parametrize(("shares", "refused"), [(True, 1), (False, 9)])
async def test_one_machines_refusal_spares_the_others(
    sandbox: RunningSandbox, postgres: PostgresServer, database: str, tmp_path: Path, *, shares: bool, refused: int
) -> None:
    """Where each keeps to itself, another machine has all that it has in flight refused, too."""
    sandbox.control.add_fault("/api/v4/version", status=429, headers={"Retry-After": "600"})
    clients = []
    for name in ("one", "two"):
        (folder := tmp_path / name).mkdir()
        row = RequestPacing(postgres.address(database))
        row.look("made")
        row.close()
        limiter = shared_limiter(
            ("http", str(tmp_path), 80), "token", max_in_flight=8, folder=folder, common=row if shares else None
        )
        clients.append(GitLabClient(sandbox.url, sandbox.token, limiter=limiter, retry=AT_ONCE))
    deadline = Deadline.after(60, time.monotonic)
    async with clients[0] as one, clients[1] as two:
        with pytest.raises(RateLimitedError):
            await one.version(deadline)
        paused = "SELECT count(*) FROM request_pacing WHERE paused_until > 0"
        await eventually(lambda: postgres.rows(database, paused) == [(1 if shares else 0,)])
        answers = await asyncio.gather(*(two.version(deadline) for _ in range(8)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [RateLimitedError] * 8
    assert one.stats.rate_limited + two.stats.rate_limited == refused


@asynccontextmanager
async def cut_off(postgres: PostgresServer, database: str) -> AsyncIterator[None]:
    """The database takes no connections, and those that there were are gone."""

    def tell(text: str) -> None:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute(text)

    tell(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    tell(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
    try:
        yield
    finally:
        tell(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")


async def test_who_is_cut_off_goes_on_slowly_and_comes_back(
    machines: tuple[Machine, Machine],
    postgres: PostgresServer,
    database: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(common_pacing, "RETRY_SECONDS", 0.2)
    one, two = machines
    for machine in machines:
        await machine.starts(1)
    async with cut_off(postgres, database):
        await eventually(lambda: not any(machine.goes_on_together() for machine in machines))
        began = uptime()
        starts = await one.starts(9)
        assert uptime() - began < 1
        assert starts[-1] - starts[0] == pytest.approx(8 * RETURN_SECONDS)
        one.few_left(1_000, seconds=200)
        assert [after - before for before, after in pairwise(await one.starts(4))] == [pytest.approx(0.8)] * 3
        one.limiter.pause(30)
    await eventually(lambda: all(machine.goes_on_together() for machine in machines))
    await eventually(lambda: two.pacing.read().paused_until > two.clock() + 25)
    told = [(record.levelname, record.message.split(":")[0]) for record in caplog.records]
    alone = ("WARNING", "the rate limit is not shared with other machines, so it is used slowly")
    back = ("INFO", "the rate limit is shared with other machines again")
    assert sorted(told) == [back, back, alone, alone]


async def test_a_database_that_does_not_answer_holds_nobody_up(
    machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has the row and does not go on. Only those who ask before that is known wait for it at all."""
    monkeypatch.setattr(common_pacing, "PATIENCE_SECONDS", 1.0)
    one, two = machines
    await one.starts(1)
    held, end = threading.Event(), threading.Event()

    def hold(times: Times, _now: float) -> tuple[Times, None]:
        held.set()
        end.wait(10)
        return times, None

    holder = threading.Thread(target=lambda: two.common.exchange("the-key", hold))
    holder.start()
    try:
        await asyncio.to_thread(held.wait, 10)
        one.few_left(1_000, seconds=200)
        began = uptime()
        await one.starts(4)
        assert uptime() - began < 2
        again = uptime()
        await one.starts(4)
        assert uptime() - again < 0.9
    finally:
        end.set()
        holder.join()


@pytest.mark.parametrize(
    "times",
    [(float("nan"),) * 6, (1e18, 1.0, 1e18, 1e18, 1e18, 1e18), (0.0, -1.0, 0.0, 0.0, 0.0, 0.0), (1.0, 2.0, 3.0)],
)
async def test_a_row_with_anything_in_it_stops_nobody(machines: tuple[Machine, Machine], times: Times) -> None:
    one, two = machines
    two.common.exchange("the-key", lambda _before, _now: (times, None))
    began = uptime()
    assert (await one.starts(1))[0] < began + 5
    one.few_left(1_000, seconds=200)
    await eventually(lambda: two.hears_of(gap=True))


async def test_the_row_names_the_token_only_to_who_has_it(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    row = RequestPacing(postgres.address(database))
    limiter = shared_limiter(
        ("http", "gitlab.example.com", 80), "glpat-very-secret", max_in_flight=8, folder=tmp_path, common=row
    )
    limiter.pause(1)
    async with limiter.place(Deadline.after(20, time.monotonic), "/path"):
        pass
    (stored,) = postgres.rows(database, "SELECT * FROM request_pacing")
    assert "glpat-very-secret" not in str(stored)
    assert stored[1] > 1_700_000_000
