"""What the client asks GitLab and what it makes of the answers."""

from urllib.parse import unquote

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.gitlab.client import GitLabClient, validate_base_url
from surgical_pipeline.gitlab.errors import (
    CrossOriginError,
    ForbiddenError,
    GitLabError,
    InvalidPayloadError,
    ProjectNotFoundError,
    ServerError,
    UnauthorizedError,
)
from surgical_pipeline_tests.integration.gitlab.api import ISSUE, ISSUES, MERGE_REQUEST, MERGE_REQUESTS
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer

pytestmark = pytest.mark.anyio

PROJECT = {"id": 7, "path_with_namespace": "acme/rocket"}
BY_PATH = "/api/v4/projects/acme%2Frocket"


async def test_a_project_is_found_by_its_encoded_path(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(BY_PATH, Reply(PROJECT))
    project = await client.project("acme/rocket", deadline)
    assert (project.project_id, project.path) == (7, "acme/rocket")
    assert project.payload == '{"id":7,"path_with_namespace":"acme/rocket"}'


async def test_a_path_cannot_climb_out_of_its_place_in_the_url(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    with pytest.raises(ProjectNotFoundError):
        await client.project("../../evil?x=1#y", deadline)
    assert unquote(server.requests[0].path) == "/api/v4/projects/../../evil?x=1#y"
    assert server.requests[0].path.count("/") == 4
    assert server.requests[0].query == ()


@pytest.mark.parametrize("location", ["/api/v4/projects/7", "{url}/api/v4/projects/7"])
async def test_a_renamed_project_is_followed_to_its_id(
    server: WireServer, client: GitLabClient, deadline: Deadline, location: str
) -> None:
    server.on(BY_PATH, Reply(b"", status=301, headers={"Location": location.format(url=server.url)}))
    server.on("/api/v4/projects/7", Reply({**PROJECT, "path_with_namespace": "acme/rocket-2"}))
    assert (await client.project("acme/rocket", deadline)).path == "acme/rocket-2"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://localhost.evil.example/api/v4/projects/7", CrossOriginError),
        ("https://127.0.0.1/api/v4/projects/7", CrossOriginError),
        ("//evil.example/api/v4/projects/7", CrossOriginError),
        ("http://[", CrossOriginError),
        ("/users/sign_in", InvalidPayloadError),
        ("/api/v4x/projects/7", InvalidPayloadError),
        ("/api/v4/../../users/sign_in", InvalidPayloadError),
    ],
)
async def test_a_project_is_not_followed_out_of_the_api(
    server: WireServer,
    client: GitLabClient,
    deadline: Deadline,
    location: str,
    expected: type[InvalidPayloadError],
) -> None:
    server.on(BY_PATH, Reply(b"", status=301, headers={"Location": location}))
    with pytest.raises(expected) as raised:
        await client.project("acme/rocket", deadline)
    assert type(raised.value) is expected
    assert len(server.requests) == 1


async def test_only_a_project_is_followed(server: WireServer, client: GitLabClient, deadline: Deadline) -> None:
    """An entity or a list that is elsewhere now would be another project's."""
    for path in (ISSUES, f"{ISSUES}/12", f"{ISSUES}/12/discussions"):
        server.on(path, Reply(b"", status=301, headers={"Location": path.replace("/7/", "/8/")}))
    for asked in (
        client.entities_by_iids(7, EntityType.ISSUE, iids=[12], deadline=deadline),
        client.entity(7, ISSUE, deadline),
        client.dependent(7, ISSUE, dependent=Dependent.DISCUSSIONS, deadline=deadline),
    ):
        with pytest.raises(InvalidPayloadError, match="redirects instead of answering"):
            await asked
    assert [request.path for request in server.requests] == [ISSUES, f"{ISSUES}/12", f"{ISSUES}/12/discussions"]


async def test_redirects_in_a_circle_end(server: WireServer, client: GitLabClient, deadline: Deadline) -> None:
    server.on(BY_PATH, Reply(b"", status=301, headers={"Location": BY_PATH}))
    with pytest.raises(InvalidPayloadError, match="redirects more than"):
        await client.project("acme/rocket", deadline)


@pytest.mark.parametrize(
    ("status", "expected", "code"),
    [
        (404, ProjectNotFoundError, FailureCode.PROJECT_NOT_FOUND),
        (401, UnauthorizedError, FailureCode.UNAUTHORIZED),
        (403, ForbiddenError, FailureCode.FORBIDDEN),
    ],
)
async def test_a_project_that_cannot_be_read_is_refused_by_meaning(
    server: WireServer,
    client: GitLabClient,
    deadline: Deadline,
    status: int,
    expected: type[GitLabError],
    code: FailureCode,
) -> None:
    server.on(BY_PATH, Reply({"message": "no"}, status=status))
    server.on(ISSUES, Reply({"message": "no"}, status=status))
    with pytest.raises(expected) as of_project:
        await client.project("acme/rocket", deadline)
    with pytest.raises(expected) as of_batch:
        await client.entities_by_iids(7, EntityType.ISSUE, iids=[1], deadline=deadline)
    for error in (of_project.value, of_batch.value):
        failure = error.as_failure("preflight")
        assert failure.code is code
        assert failure.stage == "preflight"


async def test_a_project_of_another_shape_is_an_invalid_payload_with_its_path(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(BY_PATH, Reply({"id": "7"}))
    with pytest.raises(InvalidPayloadError, match=r"field id of GitLab's project.*GET /api/v4/projects/acme%2F"):
        await client.project("acme/rocket", deadline)


async def test_merge_requests_are_asked_for_past_gitlabs_cache(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(MERGE_REQUESTS, Reply([]))
    await client.entities_by_iids(7, EntityType.MERGE_REQUEST, iids=[34], deadline=deadline)
    assert server.requests[0].values("with_labels_details") == ["true"]


@pytest.mark.parametrize("iids", [[], range(1, 102), [0], [-1], [True], [2**31]])
async def test_a_batch_that_would_mean_something_else_is_never_sent(
    server: WireServer, client: GitLabClient, deadline: Deadline, iids: list[int]
) -> None:
    with pytest.raises(ValueError, match="IID"):
        await client.entities_by_iids(7, EntityType.ISSUE, iids=iids, deadline=deadline)
    assert server.requests == []


@pytest.mark.parametrize("project_id", [0, -3, True, 2**63])
async def test_a_project_id_is_checked_before_it_goes_into_a_url(
    server: WireServer, client: GitLabClient, deadline: Deadline, project_id: int
) -> None:
    with pytest.raises(ValueError, match="project id"):
        await client.entity(project_id, ISSUE, deadline)
    assert server.requests == []


async def test_a_server_that_ignores_the_iids_is_not_walked_through(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    """What it gave comes back as it is: the caller's identity check says what is wrong with it."""
    server.on(ISSUES, Reply([{"iid": n} for n in range(1, 21)], headers={"X-Next-Page": "2"}))
    found = await client.entities_by_iids(7, EntityType.ISSUE, iids=[1, 2], deadline=deadline)
    assert len(found.items) == 20
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [{"message": "ok"}, None, 3, "text", True, [1], [[]], [None]])
async def test_a_list_that_is_none_is_an_invalid_payload(
    server: WireServer, client: GitLabClient, deadline: Deadline, body: object
) -> None:
    server.on(ISSUES, Reply(body))
    with pytest.raises(InvalidPayloadError, match=r"where (a list was|objects were) expected"):
        await client.entities_by_iids(7, EntityType.ISSUE, iids=[1], deadline=deadline)


async def test_an_entity_is_given_or_none_where_gitlab_has_none(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(f"{ISSUES}/12", Reply({"iid": 12}))
    server.on(f"{MERGE_REQUESTS}/34", Reply({"message": "404 Not found"}, status=404))
    found = await client.entity(7, ISSUE, deadline)
    assert found is not None
    assert found.item == {"iid": 12}
    assert await client.entity(7, MERGE_REQUEST, deadline) is None


async def test_an_entity_is_not_missing_where_its_project_is(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(f"{ISSUES}/12", Reply({"message": "404 Project Not Found"}, status=404))
    with pytest.raises(ProjectNotFoundError):
        await client.entity(7, ISSUE, deadline)


async def test_a_forbidden_entity_is_an_error_not_a_miss(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(f"{ISSUES}/12", Reply({"message": "403 Forbidden"}, status=403))
    with pytest.raises(ForbiddenError):
        await client.entity(7, ISSUE, deadline)


async def test_an_entity_that_is_no_object_is_an_invalid_payload(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(f"{ISSUES}/12", Reply([{"iid": 12}]))
    with pytest.raises(InvalidPayloadError, match="a list where an object was expected"):
        await client.entity(7, ISSUE, deadline)


async def test_scopes_are_none_where_gitlab_does_not_tell_them(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    assert await client.token_scopes(deadline) is None
    server.on("/api/v4/personal_access_tokens/self", Reply({"scopes": ["read_api"]}))
    assert await client.token_scopes(deadline) == ("read_api",)


async def test_a_base_url_with_a_path_prefix_is_kept(server: WireServer, token: str, deadline: Deadline) -> None:
    server.on("/gitlab/api/v4/version", Reply({"version": "17"}))
    for base_url in (f"{server.url}/gitlab", f"{server.url}/gitlab/", f"{server.url}/gitlab/api/v4/"):
        async with GitLabClient(base_url, token) as client:
            assert await client.version(deadline) == "17"


async def test_an_error_status_is_read_before_any_decoding(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(BY_PATH, Reply(b"\xff not json", status=500, content_type="application/json"))
    with pytest.raises(ServerError):
        await client.project("acme/rocket", deadline)


@pytest.mark.parametrize("token", ["", "  ", "two words", "tökén", "line\nbreak"])
def test_a_token_that_no_header_can_carry_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(ValueError, match="token") as raised:
        GitLabClient("https://gitlab.example.com", token)
    assert not token.strip() or token not in str(raised.value)


def test_a_base_url_is_checked_at_once() -> None:
    with pytest.raises(ValueError, match="user name or password"):
        GitLabClient("https://someone:hunter2@gitlab.example.com", "token")
    assert validate_base_url("https://gitlab.example.com/") == "https://gitlab.example.com"
