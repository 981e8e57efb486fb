"""The client against the embedded GitLab, which speaks v4 without knowing this client."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

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
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.sandbox.tokens import SANDBOX_PROFILE_TOKEN
from surgical_pipeline_tests.integration.gitlab.api import AT_ONCE

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


def client_of(sandbox: RunningSandbox, token: str) -> GitLabClient:
    return GitLabClient(sandbox.url, token, retry=AT_ONCE)


@pytest.fixture
async def client(sandbox: RunningSandbox) -> AsyncIterator[GitLabClient]:
    async with client_of(sandbox, sandbox.token) as running:
        yield running


@pytest.fixture
async def project_id(client: GitLabClient, deadline: Deadline) -> int:
    return (await client.project(PATH, deadline)).project_id


async def test_every_entity_and_all_its_dependents_are_read(
    client: GitLabClient, project_id: int, deadline: Deadline
) -> None:
    for kind in EntityType:
        batch = await client.entities_by_iids(project_id, kind, iids=range(1, 101), deadline=deadline)
        assert batch.items
        records = [parse_entity(kind, item, fetched_at=batch.fetched_at) for item in batch.items]
        assert {record.project_id for record in records} == {project_id}
        found = await asyncio.gather(
            *(
                client.dependent(project_id, record.key, dependent=dependent, deadline=deadline)
                for record in records[:15]
                for dependent in Dependent
                if kind in dependent.applies_to
            )
        )
        assert any(one.records for one in found)
    assert client.stats.retries == 0


async def test_the_same_merge_request_gives_the_same_bytes_twice(
    client: GitLabClient, project_id: int, deadline: Deadline
) -> None:
    texts = set()
    for _ in range(2):
        batch = await client.entities_by_iids(
            project_id, EntityType.MERGE_REQUEST, iids=range(1, 21), deadline=deadline
        )
        kind = EntityType.MERGE_REQUEST
        records = (parse_entity(kind, item, fetched_at=batch.fetched_at) for item in batch.items)
        texts.add(tuple(sorted(record.payload for record in records)))
    assert len(texts) == 1


async def test_the_old_path_of_a_renamed_project_leads_to_it(client: GitLabClient, deadline: Deadline) -> None:
    assert (await client.project(f"{PATH}-old", deadline)).path == PATH


async def test_what_a_token_may_not_do_is_told_by_meaning(
    sandbox: RunningSandbox, client: GitLabClient, deadline: Deadline
) -> None:
    with pytest.raises(ProjectNotFoundError):
        await client.project("secret/vault", deadline)
    assert await client.token_scopes(deadline) == ("read_api",)
    assert (await client.version(deadline))[0].isdigit()
    async with client_of(sandbox, SANDBOX_PROFILE_TOKEN) as other:
        with pytest.raises(ForbiddenError):
            await other.project(PATH, deadline)
    async with client_of(sandbox, "no-such-token") as other:
        with pytest.raises(UnauthorizedError):
            await other.project(PATH, deadline)


async def test_an_iid_that_is_not_there_is_none(client: GitLabClient, project_id: int, deadline: Deadline) -> None:
    for kind in EntityType:
        assert await client.entity(project_id, EntityKey(kind, 999_999), deadline) is None


async def test_faults_of_every_kind_are_survived(
    sandbox: RunningSandbox, client: GitLabClient, project_id: int, deadline: Deadline
) -> None:
    discussions = "*/issues/1/discussions"
    sandbox.control.add_fault(discussions, times=1, drop="mid_body")
    sandbox.control.add_fault(discussions, times=1, mangle="html")
    sandbox.control.add_fault(discussions, times=1, status=503)
    key = EntityKey(EntityType.ISSUE, 1)
    found = await client.dependent(project_id, key, dependent=Dependent.DISCUSSIONS, deadline=deadline)
    assert found.key == key
    assert client.stats.retries == 3


async def test_a_slow_dependent_costs_its_budget(
    sandbox: RunningSandbox, client: GitLabClient, project_id: int
) -> None:
    sandbox.control.add_fault("*/issues/1/discussions", delay_ms=5000)
    with pytest.raises(BudgetExceededError):
        await client.dependent(
            project_id,
            EntityKey(EntityType.ISSUE, 1),
            dependent=Dependent.DISCUSSIONS,
            deadline=Deadline.after(0.2, time.monotonic),
        )


async def test_the_server_never_sees_more_in_flight_than_allowed(
    sandbox: RunningSandbox, deadline: Deadline
) -> None:
    sandbox.control.clear_requests()
    async with GitLabClient(sandbox.url, sandbox.token, max_in_flight=4) as client:
        await asyncio.gather(*(client.version(deadline) for _ in range(40)))
    seen = sandbox.control.requests()
    assert seen.count == 40
    assert seen.max_in_flight <= 4
