"""A GitLab that names itself otherwise than we reach it: behind a tunnel, a port-forward or a proxy."""

from collections.abc import Iterator

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import ResourceEventRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import GitLabError, InvalidPayloadError
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline.sandbox.payloads import WEB
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer

pytestmark = pytest.mark.anyio

EVENTS = "/api/v4/projects/7/issues/12/resource_label_events"
ISSUE = EntityKey(EntityType.ISSUE, 12)
EXTERNAL = "https://gitlab.example.com/git"


@pytest.fixture(params=["", "/behind/a/proxy"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[RunningSandbox]:
    with RunningSandbox(prefix=request.param, external_url=EXTERNAL) as running:
        yield running


def client_of(url: str, token: str) -> GitLabClient:
    return GitLabClient(url, token, retry=RetryPolicy(base_seconds=0.0))


async def test_a_list_of_many_pages_is_read_where_the_links_name_another_address(
    elsewhere: RunningSandbox, deadline: Deadline
) -> None:
    for number in range(250):
        elsewhere.control.add_note(20, f"note {number}")
    elsewhere.control.clear_requests()
    async with client_of(elsewhere.url, elsewhere.token) as client:
        found = await client.dependent(
            4201, EntityKey(EntityType.ISSUE, 20), dependent=Dependent.DISCUSSIONS, deadline=deadline
        )
    log = elsewhere.control.requests()
    assert len(found.records) >= 250
    assert log.count >= 3
    assert all(one.token_in_header and one.status == 200 for one in log.requests)


async def test_nothing_is_sent_to_the_address_that_a_link_names(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    async with WireServer() as named:
        link = f'<{named.url}/git{EVENTS}?page=2&per_page=1&sudo=root>; rel="next"'
        server.on(EVENTS, Reply([{"id": 1}], headers={"Link": link}), Reply([{"id": 2}]))
        async with client_of(server.url, token) as client:
            found = await client.dependent(7, ISSUE, dependent=Dependent.LABEL_EVENTS, deadline=deadline)
        assert named.requests == []
    assert [record.event_id for record in found.records if isinstance(record, ResourceEventRecord)] == [1, 2]
    assert server.requests[1].values("page") == ["2"]
    assert server.requests[1].values("per_page") == ["100"]


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (f"https://gitlab.example.com{EVENTS.replace('/12/', '/13/')}?page=2", "another list"),
        (f"https://gitlab.example.com{EVENTS}", "lead back"),
        (f"https://gitlab.example.com{EVENTS}?per_page=7", "lead back"),
        ("https://gitlab.example.com/login?page=2", "another list"),
    ],
)
async def test_another_list_and_a_page_that_does_not_advance_stay_refused_on_any_host(
    server: WireServer, token: str, deadline: Deadline, link: str, said: str
) -> None:
    server.on(EVENTS, Reply([{"id": 1}], headers={"Link": f'<{link}>; rel="next"'}))
    async with client_of(server.url, token) as client:
        with pytest.raises(InvalidPayloadError, match=said):
            await client.dependent(7, ISSUE, dependent=Dependent.LABEL_EVENTS, deadline=deadline)


async def test_gitlabs_own_address_is_told_by_links_where_it_is_not_ours_and_by_a_project(
    elsewhere: RunningSandbox, sandbox: RunningSandbox, deadline: Deadline
) -> None:
    async with client_of(elsewhere.url, elsewhere.token) as client:
        assert await client.told_of_itself(deadline) == (EXTERNAL, EXTERNAL)
    async with client_of(sandbox.url, sandbox.token) as client:
        assert await client.told_of_itself(deadline) == (None, WEB)
        sandbox.control.add_fault("/api/v4/projects", status=403)
        with pytest.raises(GitLabError):
            await client.told_of_itself(deadline)
