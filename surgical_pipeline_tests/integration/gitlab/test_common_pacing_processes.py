"""Two processes on machines of their own, as far as they know, and a GitLab that enforces its limit."""

import asyncio
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.ledger.opening import open_request_pacing
from surgical_pipeline.sandbox import traffic
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.postgres_server import PostgresServer

pytestmark = pytest.mark.processes

WINDOW_SECONDS = 5
LIMIT = 120
IN_FLIGHT = 4
REQUESTS = 70


@dataclass(frozen=True)
class Job:
    """What a process asks of GitLab, and where it finds what others know."""

    url: str
    token: str
    folder: Path
    ledger: str


@dataclass(frozen=True)
class Done:
    errors: list[str]
    refused: int


def ask(job: Job, begin: "Barrier", done: "Queue[Done]") -> None:
    done.put(asyncio.run(_ask(job, begin)))


async def _ask(job: Job, begin: "Barrier") -> Done:
    common = open_request_pacing(Settings(environment={"SURGICAL_LEDGER": job.ledger}))
    client = GitLabClient(
        job.url,
        job.token,
        max_in_flight=IN_FLIGHT,
        limits_folder=job.folder,
        limits_of_all=common,
    )
    async with client:
        begin.wait()
        deadline = Deadline.after(60, time.monotonic)
        answers = await asyncio.gather(
            *(client.version(deadline) for _ in range(REQUESTS)), return_exceptions=True
        )
        errors = [str(answer) for answer in answers if isinstance(answer, BaseException)]
        return Done(errors, client.stats.rate_limited)


def test_they_keep_to_one_limit_and_a_database_that_is_lost_in_the_middle_stops_nobody(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "_WINDOW_SECONDS", WINDOW_SECONDS)
    context = multiprocessing.get_context("spawn")
    begin, done = context.Barrier(3), context.Queue()
    with RunningSandbox(rate_limit=LIMIT) as sandbox, postgres.temporary() as database:
        for name in ("one", "two"):
            (folder := tmp_path / name).mkdir()
            job = Job(sandbox.url, sandbox.token, folder, postgres.url(database))
            context.Process(target=ask, args=(job, begin, done), daemon=True).start()
        while begin.n_waiting < 2 or time.time() % WINDOW_SECONDS > 1:
            time.sleep(0.02)
        begin.wait(60)
        _await_spreading(postgres, database)
        postgres.restart()  # all connections are cut, and the table is empty afterwards
        results = [done.get(timeout=60) for _ in range(2)]
        answered = [one.status for one in sandbox.control.requests().requests]
    assert [one.errors for one in results] == [[], []]
    assert answered.count(200) == 2 * REQUESTS > LIMIT
    assert answered.count(429) == sum(one.refused for one in results) <= 2 * IN_FLIGHT


def _await_spreading(postgres: PostgresServer, database: str) -> None:
    """Until few requests are left, and each has a place."""
    end = time.monotonic() + 60
    made = "SELECT to_regclass('request_pacing') IS NOT NULL"
    spread = "SELECT count(*) > 0 FROM request_pacing WHERE gap_seconds > 0"
    while not all(postgres.rows(database, text) == [(True,)] for text in (made, spread)):
        assert time.monotonic() < end
        time.sleep(0.05)
