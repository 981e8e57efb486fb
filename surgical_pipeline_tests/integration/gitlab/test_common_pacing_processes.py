"""Three processes on machines of their own, as far as they know, and a GitLab that enforces its limit."""

import asyncio
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.pacing import Priority
from surgical_pipeline.ledger.opening import open_request_pacing
from surgical_pipeline.sandbox import traffic
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.postgres_server import PostgresServer

pytestmark = pytest.mark.processes

WINDOW_SECONDS = 5
LIMIT = 120
IN_FLIGHT = 4
BACKFILL, PERSON = 120, 8


@dataclass(frozen=True)
class Job:
    """What a process asks of GitLab, and where it finds what others know."""

    url: str
    token: str
    folder: Path
    ledger: str
    requests: int
    priority: Priority


@dataclass(frozen=True)
class Done:
    priority: Priority
    errors: list[str]
    refused: int
    seconds: float


def ask(job: Job, begin: "Event | Barrier", done: "SimpleQueue[Done]") -> None:
    done.put(asyncio.run(_ask(job, begin)))


async def _ask(job: Job, begin: "Event | Barrier") -> Done:
    common = open_request_pacing(Settings(environment={"SURGICAL_LEDGER": job.ledger}))
    client = GitLabClient(
        job.url,
        job.token,
        max_in_flight=IN_FLIGHT,
        limits_folder=job.folder,
        limits_of_all=common,
        priority=job.priority,
    )
    async with client:
        begin.wait()
        began = time.monotonic()
        deadline = Deadline.after(60, time.monotonic)
        answers = await asyncio.gather(
            *(client.version(deadline) for _ in range(job.requests)), return_exceptions=True
        )
        errors = [str(answer) for answer in answers if isinstance(answer, BaseException)]
        return Done(job.priority, errors, client.stats.rate_limited, time.monotonic() - began)


def test_they_keep_to_one_limit_people_first_and_a_lost_database_stops_nobody(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "_WINDOW_SECONDS", WINDOW_SECONDS)
    context = multiprocessing.get_context("spawn")
    backfills, person, done = context.Barrier(3), context.Event(), context.SimpleQueue()
    wanted = ((BACKFILL, Priority.BACKGROUND), (BACKFILL, Priority.BACKGROUND), (PERSON, Priority.PEOPLE))
    with RunningSandbox(rate_limit=LIMIT) as sandbox, postgres.temporary() as database:
        children: list[SpawnProcess] = []
        for number, (requests, priority) in enumerate(wanted):
            (folder := tmp_path / str(number)).mkdir()
            job = Job(sandbox.url, sandbox.token, folder, postgres.url(database), requests, priority)
            begin = person if priority is Priority.PEOPLE else backfills
            children.append(context.Process(target=ask, args=(job, begin, done)))
        for child in children:
            child.start()
        backfills.wait(60)
        _await_spreading(postgres, database)
        person.set()
        first = done.get()
        postgres.restart()  # all connections are cut, and the table is empty afterwards
        results = [first, *(done.get() for _ in range(2))]
        for child in children:
            child.join(60)
        answered = [one.status for one in sandbox.control.requests().requests]
    assert [one.errors for one in results] == [[], [], []]
    assert first.priority is Priority.PEOPLE
    assert first.seconds < WINDOW_SECONDS
    assert answered.count(200) == 2 * BACKFILL + PERSON
    assert answered.count(429) == sum(one.refused for one in results) <= 3 * IN_FLIGHT


def _await_spreading(postgres: PostgresServer, database: str) -> None:
    """Until few requests are left, and each has a place."""
    end = time.monotonic() + 60
    while not postgres.rows(database, "SELECT 1 FROM request_pacing WHERE gap_seconds > 0"):
        assert time.monotonic() < end
        time.sleep(0.05)
