"""The client against the embedded GitLab, which speaks v4 without knowing this client."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import (
    BudgetExceededError,
    ForbiddenError,
    ProjectNotFoundError,
    UnauthorizedError,
)
from surgical_pipeline.gitlab.records import parse_entity
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.sandbox.tokens import SANDBOX_PROFILE_TOKEN

pytestmark = pytest.mark.anyio

PATH = "acme/rocket"


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[RunningSandbox]:
    with RunningSandbox(prefix="/gitlab") as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: RunningSandbox) -> Iterator[RunningSandbox]:
    yield running_sandbox
    running_sandbox.control.clear_faults()


def client_of(sandbox: RunningSandbox, token: str | None = None, *, max_in_flight: int = 16) -> GitLabClient:
    retry = RetryPolicy(base_seconds=0.0)
    return GitLabClient(sandbox.url, token or sandbox.token, max_in_flight=max_in_flight, retry=retry)


async def test_every_entity_and_all_its_dependents_are_read(sandbox: RunningSandbox, deadline: Deadline) -> None:
    async with client_of(sandbox) as client:
        project = await client.project(PATH, deadline)
        for kind in EntityType:
            batch = await client.entities_by_iids(project.project_id, kind, iids=range(1, 101), deadline=deadline)
            assert batch.items
            records = [parse_entity(kind, item, fetched_at=batch.fetched_at) for item in batch.items]
            assert {record.project_id for record in records} == {project.project_id}
            found = await asyncio.gather(
                *(
                    client.dependent(project.project_id, record.key, dependent=dependent, deadline=deadline)
                    for record in records[:15]
                    for dependent in Dependent
                    if kind in dependent.applies_to
                )
            )
            assert any(one.records for one in found)
        assert client.stats.retries == 0


async def test_the_same_merge_request_gives_the_same_bytes_twice(
    sandbox: RunningSandbox, deadline: Deadline
) -> None:
    async with client_of(sandbox) as client:
        project = await client.project(PATH, deadline)
        texts = set()
        for _ in range(2):
            batch = await client.entities_by_iids(
                project.project_id, EntityType.MERGE_REQUEST, iids=range(1, 21), deadline=deadline
            )
            kind = EntityType.MERGE_REQUEST
            records = (parse_entity(kind, item, fetched_at=batch.fetched_at) for item in batch.items)
            texts.add(tuple(sorted(record.payload for record in records)))
        assert len(texts) == 1


async def test_the_old_path_of_a_renamed_project_leads_to_it(sandbox: RunningSandbox, deadline: Deadline) -> None:
    async with client_of(sandbox) as client:
        assert (await client.project(f"{PATH}-old", deadline)).path == PATH


async def test_what_a_token_may_not_do_is_told_by_meaning(sandbox: RunningSandbox, deadline: Deadline) -> None:
    async with client_of(sandbox) as client:
        with pytest.raises(ProjectNotFoundError):
            await client.project("secret/vault", deadline)
        assert await client.token_scopes(deadline) == ("read_api",)
        assert (await client.version(deadline))[0].isdigit()
    async with client_of(sandbox, SANDBOX_PROFILE_TOKEN) as client:
        with pytest.raises(ForbiddenError):
            await client.project(PATH, deadline)
    async with client_of(sandbox, "no-such-token") as client:
        with pytest.raises(UnauthorizedError):
            await client.project(PATH, deadline)


async def test_an_iid_that_is_not_there_is_none(sandbox: RunningSandbox, deadline: Deadline) -> None:
    async with client_of(sandbox) as client:
        project = await client.project(PATH, deadline)
        for kind in EntityType:
            assert await client.entity(project.project_id, EntityKey(kind, 999_999), deadline) is None


async def test_faults_of_every_kind_are_survived(sandbox: RunningSandbox, deadline: Deadline) -> None:
    discussions = "*/issues/1/discussions"
    sandbox.control.add_fault(discussions, times=1, drop="mid_body")
    sandbox.control.add_fault(discussions, times=1, mangle="html")
    sandbox.control.add_fault(discussions, times=1, status=503)
    async with client_of(sandbox) as client:
        project = await client.project(PATH, deadline)
        key = EntityKey(EntityType.ISSUE, 1)
        found = await client.dependent(project.project_id, key, dependent=Dependent.DISCUSSIONS, deadline=deadline)
        assert found.key == key
        assert client.stats.retries == 3


async def test_a_slow_dependent_costs_its_budget(sandbox: RunningSandbox, deadline: Deadline) -> None:
    sandbox.control.add_fault("*/issues/1/discussions", delay_ms=5000)
    async with client_of(sandbox) as client:
        project = await client.project(PATH, deadline)
        with pytest.raises(BudgetExceededError):
            await client.dependent(
                project.project_id,
                EntityKey(EntityType.ISSUE, 1),
                dependent=Dependent.DISCUSSIONS,
                deadline=Deadline.after(0.2, time.monotonic),
            )


async def test_the_server_never_sees_more_in_flight_than_allowed(
    sandbox: RunningSandbox, deadline: Deadline
) -> None:
    sandbox.control.clear_requests()
    async with client_of(sandbox, max_in_flight=4) as client:
        await asyncio.gather(*(client.version(deadline) for _ in range(40)))
    seen = sandbox.control.requests()
    assert seen.count == 40
    assert seen.max_in_flight <= 4
