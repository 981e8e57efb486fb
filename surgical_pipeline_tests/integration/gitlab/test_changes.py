"""The two lists of what changed, over real HTTP: what is asked of GitLab, and what comes of its pages."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.listing import ListPosition
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.gitlab import changes
from surgical_pipeline.gitlab.changes import ListPart
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import ForbiddenError, InvalidPayloadError, NotFoundError, ServerError
from surgical_pipeline.sandbox.control_models import LoggedRequest
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.gitlab.api import AT_ONCE
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, Request, WireServer

pytestmark = pytest.mark.anyio

ROCKET = Watch("acme/rocket")
ISSUE, MERGE_REQUEST = EntityType.ISSUE, EntityType.MERGE_REQUEST
BULK = "2027-01-02T03:04:05.678Z"
BULK_TIME = datetime(2027, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_learned() -> None:
    changes._without_keyset.clear()


@pytest.fixture
async def gitlab(sandbox: RunningSandbox) -> AsyncIterator[GitLabClient]:
    sandbox.control.clear_requests()
    async with GitLabClient(sandbox.url, sandbox.token, retry=AT_ONCE) as client:
        yield client


async def read(
    gitlab: GitLabClient,
    deadline: Deadline,
    kind: EntityType = ISSUE,
    *,
    watch: Watch = ROCKET,
    position: ListPosition | None = None,
    max_pages: int = 100,
) -> ListPart:
    position = position or ListPosition(datetime(2020, 1, 1, tzinfo=UTC))
    return await gitlab.changes(watch, kind, deadline).read(position, max_pages)


def asked(sandbox: RunningSandbox) -> list[LoggedRequest]:
    return sandbox.control.requests().requests


def bulk_edit(sandbox: RunningSandbox, kind: EntityType, count: int) -> set[int]:
    """Entities that all changed at one moment, as an import or a bulk edit leaves them; made if need be."""
    made = set()
    for _ in range(count):
        if kind is ISSUE:
            made.add(sandbox.control.create_issue(title="one of many", updated_at=BULK)["iid"])
        else:
            made.add(sandbox.control.create_merge_request(title="one of many", updated_at=BULK)["iid"])
    return made


async def test_merge_requests_are_asked_for_as_gitlab_needs_it(
    sandbox: RunningSandbox, gitlab: GitLabClient, deadline: Deadline
) -> None:
    moment = datetime(2030, 1, 1, 12, 0, 0, 123999, tzinfo=UTC)
    part = await read(gitlab, deadline, MERGE_REQUEST, position=ListPosition(moment))
    (request,) = asked(sandbox)
    assert (part.rows, part.position, part.error) == ([], None, None)
    assert request.path == "/api/v4/projects/acme%2Frocket/merge_requests"
    assert request.query == (
        "scope=all&state=all&order_by=updated_at&sort=asc&updated_after=2030-01-01T12%3A00%3A00.123Z"
        "&per_page=100&with_labels_details=true"
    )


async def test_a_changed_issue_comes_with_its_project_iid_and_time(
    sandbox: RunningSandbox, gitlab: GitLabClient, deadline: Deadline
) -> None:
    changed = sandbox.control.update_issue(12, title="Changed")
    moment = datetime.fromisoformat(changed["updated_at"])
    part = await read(gitlab, deadline, position=ListPosition(moment))
    (row,) = part.rows
    assert (row.project_id, row.project, str(row.key)) == (changed["project_id"], "acme/rocket", "#12")
    assert row.updated_at == moment
    assert part.read_at is not None
    assert abs(part.read_at - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("keyset", [True, False, "ignored"])
async def test_a_whole_list_is_read_with_and_without_gitlabs_cursor(
    sandbox: RunningSandbox, gitlab: GitLabClient, deadline: Deadline, keyset: Any
) -> None:
    sandbox.control.set_behaviour(keyset=keyset)
    part = await read(gitlab, deadline)
    again = await read(gitlab, deadline)
    assert part.position is None
    assert part.error is None
    assert len({row.identity for row in part.rows}) > 100
    assert {row.identity for row in part.rows} == {row.identity for row in again.rows}
    statuses = Counter(request.status for request in asked(sandbox))
    assert statuses[400] == (1 if keyset is False else 0)  # it is tried once, not at every look
    assert any("cursor=" in request.query for request in asked(sandbox)) is (keyset is True)


@pytest.mark.parametrize("kind", [ISSUE, MERGE_REQUEST])
@pytest.mark.parametrize("keyset", [True, False])
async def test_250_rows_of_one_time_are_read_and_left_behind(
    sandbox: RunningSandbox, gitlab: GitLabClient, deadline: Deadline, kind: EntityType, *, keyset: bool
) -> None:
    sandbox.control.set_behaviour(keyset=keyset)
    made = bulk_edit(sandbox, kind, 250)
    part = await read(gitlab, deadline, kind, position=ListPosition(BULK_TIME), max_pages=20)
    assert part.position is None
    assert {row.key.iid for row in part.rows if row.updated_at == BULK_TIME} == made


@pytest.mark.parametrize("kind", [ISSUE, MERGE_REQUEST])
async def test_a_look_that_ends_within_rows_of_one_time_goes_on_behind_them(
    sandbox: RunningSandbox, gitlab: GitLabClient, deadline: Deadline, kind: EntityType
) -> None:
    made = bulk_edit(sandbox, kind, 250)
    first = await read(gitlab, deadline, kind, position=ListPosition(BULK_TIME), max_pages=2)
    assert first.position == ListPosition(BULK_TIME, 3)
    second = await read(gitlab, deadline, kind, position=first.position, max_pages=20)
    assert second.position is None
    assert {row.key.iid for row in [*first.rows, *second.rows]} == made


async def test_a_group_gives_the_changes_of_all_its_projects_in_one_request_a_list(
    sandbox: RunningSandbox, gitlab: GitLabClient, deadline: Deadline
) -> None:
    other = sandbox.control.create_project("acme/deep/engine")
    sandbox.control.create_issue(project="acme/deep/engine", title="In a subgroup", updated_at=BULK)
    sandbox.control.update_issue(12, updated_at=BULK)
    part = await read(
        gitlab, deadline, watch=Watch("acme", is_group=True), position=ListPosition(BULK_TIME), max_pages=1
    )
    assert {f"{row.project}{row.key}" for row in part.rows} == {"acme/rocket#12", "acme/deep/engine#1"}
    assert other["id"] in {row.project_id for row in part.rows}
    (request,) = asked(sandbox)
    assert request.path == "/api/v4/groups/acme/issues"


async def test_a_renamed_project_is_read_under_its_old_path(gitlab: GitLabClient, deadline: Deadline) -> None:
    part = await read(gitlab, deadline, watch=Watch("acme/rocket-old"))
    assert part.error is None
    assert part.position is None
    assert {row.project for row in part.rows} == {"acme/rocket"}


async def test_what_fails_says_why_and_keeps_what_came_before(
    sandbox: RunningSandbox, gitlab: GitLabClient, deadline: Deadline
) -> None:
    sandbox.control.add_fault("*/issues", status=502, skip=1)
    part = await read(gitlab, deadline)
    assert isinstance(part.error, ServerError)
    assert len(part.rows) == 100
    assert part.position is not None
    assert part.position.anchor == max(row.updated_at for row in part.rows)
    assert len(asked(sandbox)) == 2  # the next look asks again, soon enough


@pytest.mark.parametrize(("status", "error"), [(403, ForbiddenError), (404, NotFoundError)])
async def test_a_refused_list_is_an_error_and_nothing_is_read(
    sandbox: RunningSandbox,
    gitlab: GitLabClient,
    deadline: Deadline,
    status: int,
    error: type[Exception],
) -> None:
    sandbox.control.add_fault("*/issues", status=status)
    begun = ListPosition(BULK_TIME)
    part = await read(gitlab, deadline, position=begun)
    assert isinstance(part.error, error)
    assert (part.rows, part.position, part.read_at) == ([], begun, None)


def listed(iid: int, **fields: object) -> dict[str, object]:
    return {"iid": iid, "project_id": 7, "updated_at": BULK, **fields}


def on_page(request: Request) -> int:
    return int((request.values("page") or ["1"])[0])


async def test_a_short_or_empty_page_is_not_the_last(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    """GitLab takes out what the token may not see after it has counted a page."""
    sizes = {1: 100, 2: 0, 3: 1}

    def answer(request: Request) -> Reply:
        page = on_page(request)
        rows = [listed(page * 1000 + n) for n in range(sizes[page])]
        return Reply(rows, headers={"X-Next-Page": str(page + 1) if page < 3 else ""})

    server.answer("/api/v4/projects/acme%2Frocket/merge_requests", answer)
    begun = ListPosition(BULK_TIME)
    part = await read(client, deadline, MERGE_REQUEST, position=begun, max_pages=3)
    assert len(part.rows) == 101
    assert part.position == ListPosition(BULK_TIME, -2, BULK_TIME + timedelta(milliseconds=1))


async def test_past_50_000_rows_of_one_time_the_rest_is_left_out_and_the_list_goes_on(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    def answer(request: Request) -> Reply:
        if on_page(request) > 500:
            return Reply({"error": "Offset pagination has a maximum allowed offset of 50000"}, status=405)
        later = request.values("updated_after") != [BULK]
        return Reply([] if later else [listed(1)], headers={"X-Next-Page": "" if later else "501"})

    server.answer("/api/v4/projects/acme%2Frocket/merge_requests", answer)
    part = await read(client, deadline, MERGE_REQUEST, position=ListPosition(BULK_TIME, 500), max_pages=9)
    assert (part.left_out, part.position, part.error) == ([BULK_TIME], None, None)


@pytest.mark.parametrize(
    "row",
    [
        listed(0),
        listed(2**40),
        listed(1, updated_at=None),
        listed(1, updated_at="soon"),
        listed(1, project_id="x"),
        {"id": 1},
    ],
)
async def test_a_row_that_names_nothing_is_an_error_of_its_list(
    server: WireServer, client: GitLabClient, deadline: Deadline, row: object
) -> None:
    server.on("/api/v4/projects/acme%2Frocket/issues", Reply([row]))
    part = await read(client, deadline)
    assert isinstance(part.error, InvalidPayloadError)
    assert part.rows == []


@pytest.mark.parametrize(
    ("references", "project"),
    [
        ({"full": "a/b#1"}, "a/b"),
        ({"full": "a/b#2"}, "7"),
        ({"full": "a/b!1"}, "7"),
        ({"full": "?"}, "7"),
        (None, "7"),
    ],
)
async def test_the_project_is_named_by_its_path_where_the_row_gives_it(
    server: WireServer, client: GitLabClient, deadline: Deadline, references: object, project: str
) -> None:
    server.on("/api/v4/projects/acme%2Frocket/issues", Reply([listed(1, references=references)]))
    part = await read(client, deadline)
    assert [row.project for row in part.rows] == [project]
