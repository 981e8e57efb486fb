"""Lists of more than one page, over real sockets."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DependentSet, ResourceEventRecord
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.errors import GitLabError, InvalidPayloadError, ServerError
from surgical_pipeline_tests.integration.gitlab.api import ISSUE, ISSUES, MERGE_REQUEST, MERGE_REQUESTS
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, Request, WireServer

pytestmark = pytest.mark.anyio

EVENTS = f"{ISSUES}/12/resource_label_events"


async def events_of(client: GitLabClient, deadline: Deadline) -> DependentSet:
    return await client.dependent(7, ISSUE, dependent=Dependent.LABEL_EVENTS, deadline=deadline)


def ids(found: DependentSet) -> list[int]:
    return [record.event_id for record in found.records if isinstance(record, ResourceEventRecord)]


def link(server: WireServer, path: str, query: str) -> dict[str, str]:
    return {
        "Link": f'<{server.url}{path}?page=1>; rel="prev", <{server.url}{path}?{query}>; rel="next", '
        f'<{server.url}{path}?page=9>; rel="last"'
    }


async def test_links_are_followed_to_the_end_however_short_the_pages(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    def page(request: Request) -> Reply:
        number = int(request.values("page")[0]) if request.values("page") else 1
        body = [] if number == 2 else [{"id": number}]
        return Reply(body, headers=link(server, EVENTS, f"page={number + 1}&per_page=100") if number < 4 else {})

    server.answer(EVENTS, page)
    assert ids(await events_of(client, deadline)) == [1, 3, 4]
    assert [request.values("per_page") for request in server.requests] == [["100"]] * 4


async def test_x_next_page_is_followed_where_there_is_no_link(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(
        EVENTS,
        Reply([{"id": 1}], headers={"X-Next-Page": "2"}),
        Reply([{"id": 2}], headers={"X-Next-Page": ""}),
    )
    assert ids(await events_of(client, deadline)) == [1, 2]
    assert server.requests[1].values("page") == ["2"]


async def test_a_keyset_cursor_is_carried_along(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(
        EVENTS,
        Reply([{"id": 1}], headers=link(server, EVENTS, "pagination=keyset&cursor=eyJ%3D%3D&per_page=20")),
        Reply([{"id": 2}]),
    )
    assert ids(await events_of(client, deadline)) == [1, 2]
    assert dict(server.requests[1].query) == {"per_page": "100", "pagination": "keyset", "cursor": "eyJ=="}


async def test_a_link_cannot_widen_what_was_asked_for(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    """A next link without the iids would otherwise fetch every issue of the project."""
    server.on(
        ISSUES,
        Reply([{"iid": 1}], headers=link(server, ISSUES, "page=2&iids[]=666&scope=created_by_me")),
        Reply([{"iid": 2}]),
    )
    await client.entities_by_iids(7, EntityType.ISSUE, iids=[1, 2, 3], deadline=deadline)
    assert server.requests[1].values("iids[]") == ["1", "2", "3"]
    assert server.requests[1].values("scope") == ["all"]


async def test_a_fault_on_one_page_repeats_that_page_only(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(
        EVENTS,
        Reply([{"id": 1}], headers={"X-Next-Page": "2"}),
        Reply(b"", status=502, content_type=None),
        Reply([{"id": 2}], cut_after=3),
        Reply([{"id": 2}]),
    )
    assert ids(await events_of(client, deadline)) == [1, 2]
    assert [request.values("page") for request in server.requests] == [[], ["2"], ["2"], ["2"]]


async def test_a_last_page_that_fails_gives_no_half_set(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(EVENTS, Reply([{"id": 1}], headers={"X-Next-Page": "2"}), Reply(b"", status=502, content_type=None))
    with pytest.raises(ServerError):
        await events_of(client, deadline)
    assert [request.values("page") for request in server.requests] == [[], *[["2"]] * 4]


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Link": '</api/v4/projects/8/issues>; rel="next"'}, "another list"),
        ({"Link": '<http://host:port/>; rel="next"'}, "cannot be read"),
        ({"Link": f'<{EVENTS}>; rel="next"'}, "lead back"),
        ({"X-Next-Page": "two"}, "not a number"),
        ({"X-Next-Page": "0"}, "not a number"),
    ],
)
async def test_a_next_page_that_makes_no_sense_is_refused(
    server: WireServer, client: GitLabClient, deadline: Deadline, headers: dict[str, str], said: str
) -> None:
    server.on(EVENTS, Reply([{"id": 1}], headers=headers))
    with pytest.raises(InvalidPayloadError, match=said):
        await events_of(client, deadline)


async def test_pages_that_lead_back_are_noticed(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(EVENTS, Reply([{"id": 1}], headers={"X-Next-Page": "2"}))
    with pytest.raises(InvalidPayloadError, match="lead back"):
        await events_of(client, deadline)
    assert len(server.requests) == 2


async def test_a_list_that_changes_while_it_is_read_is_read_anew(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    """A row deleted between two pages moves another one across the border, where nobody would see it."""
    server.on(
        EVENTS,
        Reply([{"id": 1}, {"id": 2}], headers={"X-Next-Page": "2", "X-Total": "4"}),
        Reply([{"id": 4}], headers={"X-Total": "3"}),
        Reply([{"id": 2}, {"id": 3}], headers={"X-Next-Page": "2", "X-Total": "3"}),
        Reply([{"id": 4}], headers={"X-Total": "3"}),
    )
    assert ids(await events_of(client, deadline)) == [2, 3, 4]


async def test_a_list_that_never_holds_still_is_an_error(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    totals = iter(range(100, 0, -1))

    def page(request: Request) -> Reply:
        total = {"X-Total": str(next(totals))}
        return Reply([{"id": 1}], headers=total if request.values("page") else total | {"X-Next-Page": "2"})

    server.answer(EVENTS, page)
    with pytest.raises(ServerError, match="changed 3 times"):
        await events_of(client, deadline)
    assert len(server.requests) == 6


async def test_what_is_fetched_is_dated_by_its_first_request_not_by_an_answer(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    """Only then is surely newer what another run fetched after this one began."""
    now = datetime(2024, 1, 1, tzinfo=UTC)

    replies = {
        EVENTS: [Reply([{"id": 1}], headers={"X-Next-Page": "2"}), Reply([{"id": 2}])],
        ISSUES: [Reply([{"iid": 1}], headers={"X-Next-Page": "2"}), Reply([{"iid": 2}])],
        f"{ISSUES}/12": [Reply({"iid": 12})],
        f"{MERGE_REQUESTS}/34/approvals": [Reply({"iid": 34})],
    }

    def slow(request: Request) -> Reply:
        nonlocal now
        now += timedelta(minutes=1)
        return replies[request.path].pop(0)

    for path in replies:
        server.answer(path, slow)

    def uptime() -> float:
        return now.timestamp()

    clock = GitLabClock(wall=lambda: now, uptime=uptime)
    async with GitLabClient(server.url, token, clock=clock) as client:
        for fetch in (
            lambda: events_of(client, deadline),
            lambda: client.entities_by_iids(7, EntityType.ISSUE, iids=range(1, 9), deadline=deadline),
            lambda: client.entity(7, ISSUE, deadline),
            lambda: client.dependent(7, MERGE_REQUEST, dependent=Dependent.APPROVALS, deadline=deadline),
        ):
            began = now
            found = await fetch()
            assert found is not None
            assert found.fetched_at == began < now


async def test_an_item_on_two_pages_counts_once(
    server: WireServer, client: GitLabClient, deadline: Deadline
) -> None:
    server.on(EVENTS, Reply([{"id": 1}, {"id": 2}], headers={"X-Next-Page": "2"}), Reply([{"id": 2}, {"id": 3}]))
    assert ids(await events_of(client, deadline)) == [1, 2, 3]


async def test_the_budget_covers_all_pages_together(server: WireServer, client: GitLabClient) -> None:
    server.on(EVENTS, Reply([{"id": 1}], headers={"X-Next-Page": "2"}), Reply(hang=True))
    with pytest.raises(GitLabError) as raised:
        await events_of(client, Deadline.after(0.2, time.monotonic))
    assert raised.value.code == "TIMEOUT"
