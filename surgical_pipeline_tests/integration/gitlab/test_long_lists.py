"""Long lists, over real sockets: side by side where the totals are told, and what is noticed stays the same."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.records import DependentSet, ResourceEventRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab import pagination
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import GitLabError, InvalidPayloadError, ServerError
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, Request, WireServer, eventually

pytestmark = pytest.mark.anyio

ISSUES = "/api/v4/projects/7/issues"
EVENTS = f"{ISSUES}/12/resource_label_events"


def page_of(request: Request) -> int:
    return int((request.values("page") or ["1"])[0])


def page(number: int, last: int, body: Sequence[int] = (), **headers: str) -> Reply:
    """Page ``number`` of ``last``, each with one event whose id is the page's number."""
    told = {
        "X-Total": str(last),
        "X-Total-Pages": str(last),
        "X-Next-Page": str(number + 1 if number < last else ""),
    }
    rows = [{"id": row} for row in body or [number]]
    return Reply(rows, headers=told | {name.replace("_", "-"): value for name, value in headers.items()})


def client_of(server: WireServer, token: str, **options: int) -> GitLabClient:
    return GitLabClient(server.url, token, retry=RetryPolicy(base_seconds=0.0), **options)  # type: ignore[arg-type]


async def events(client: GitLabClient, deadline: Deadline, iid: int = 12) -> DependentSet:
    key = EntityKey(EntityType.ISSUE, iid)
    return await client.dependent(7, key, dependent=Dependent.LABEL_EVENTS, deadline=deadline)


def ids(found: DependentSet) -> list[int]:
    return [record.event_id for record in found.records if isinstance(record, ResourceEventRecord)]


async def test_pages_that_the_first_told_of_are_read_side_by_side_in_their_order(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    gates = {number: asyncio.Event() for number in range(1, 21)}

    def answer(request: Request) -> Reply:
        number = page_of(request)
        return Reply(**vars(page(number, 20)) | {"gate": gates[number] if number > 1 else None})

    server.answer(EVENTS, answer)
    async with client_of(server, token, max_in_flight=8) as client:
        reading = asyncio.create_task(events(client, deadline))
        await eventually(lambda: server.in_flight == 8)
        assert [page_of(request) for request in server.requests] == list(range(1, 10))
        for number in reversed(range(1, 21)):  # the last answers first
            gates[number].set()
        found = await reading
    assert ids(found) == list(range(1, 21))
    assert server.peak == 8
    assert len(server.requests) == 20


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X_Total_Pages": "", "X_Total": ""}, id="no totals, as past 10,000 rows"),
        pytest.param({"X_Total_Pages": "many"}, id="totals that are no number"),
        pytest.param({"X_Total_Pages": "0"}, id="no pages at all"),
        pytest.param({"Link": f'<{EVENTS}?cursor=c{{}}&page={{}}>; rel="next"'}, id="a cursor"),
        pytest.param({"Link": f'<{EVENTS}?id_after={{}}>; rel="next"'}, id="the last row's id"),
        pytest.param({"Link": f'<{EVENTS}?pagination=keyset&page={{}}>; rel="next"'}, id="keyset"),
    ],
)
async def test_otherwise_they_are_read_one_after_the_other(
    server: WireServer, token: str, deadline: Deadline, headers: dict[str, str]
) -> None:
    def answer(_request: Request) -> Reply:
        number = len(server.requests)
        told = {name: value.replace("{}", str(number + 1)) for name, value in headers.items()}
        if number == 6:
            told.pop("Link", None)
        return page(number, 6, (), **told)

    server.answer(EVENTS, answer)
    async with client_of(server, token) as client:
        assert ids(await events(client, deadline)) == [1, 2, 3, 4, 5, 6]
    assert server.peak == 1
    assert len(server.requests) == 6


async def test_long_lists_together_stay_within_what_may_be_in_flight(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    for iid in range(1, 5):
        server.answer(EVENTS.replace("/12/", f"/{iid}/"), lambda request: page(page_of(request), 30))
    async with client_of(server, token, max_in_flight=3) as client:
        found = await asyncio.gather(*(events(client, deadline, iid) for iid in range(1, 5)))
    assert [ids(one) for one in found] == [list(range(1, 31))] * 4
    assert server.peak <= 3


async def test_what_is_read_ahead_does_not_queue_up_before_others(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    """A short list beside long ones must not wait for all their pages: its entity's time would run out."""
    for iid in range(1, 11):
        server.answer(EVENTS.replace("/12/", f"/{iid}/"), lambda request: page(page_of(request), 60))
    short = EVENTS.replace("/12/", "/50/")
    server.on(short, page(1, 1))
    async with client_of(server, token, max_in_flight=4) as client:
        long = [asyncio.create_task(events(client, deadline, iid)) for iid in range(1, 11)]
        await eventually(lambda: len(server.requests) > 30)
        before = len(server.requests)
        assert ids(await events(client, deadline, 50)) == [1]
        asked_at = [request.path for request in server.requests].index(short)
        assert asked_at - before <= 2 * 4
        await asyncio.gather(*long)


async def test_a_change_meanwhile_is_noticed_and_the_list_read_anew(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    """A row deleted in the middle of a reading moves another across a border, where nobody would see it."""
    asked = 0

    def answer(request: Request) -> Reply:
        nonlocal asked
        asked += 1
        number = page_of(request)
        return page(number, 8, X_Total="80") if asked <= 5 else page(number, 8, [10 + number], X_Total="79")

    server.answer(EVENTS, answer)
    async with client_of(server, token, max_in_flight=2) as client:
        assert ids(await events(client, deadline)) == [10 + number for number in range(1, 9)]


async def test_a_list_that_never_holds_still_is_an_error(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    server.answer(EVENTS, lambda request: page(page_of(request), 5, X_Total=str(1000 - len(server.requests))))
    async with client_of(server, token) as client:
        with pytest.raises(ServerError, match="changed 3 times"):
            await events(client, deadline)


async def test_a_row_on_two_pages_counts_once(server: WireServer, token: str, deadline: Deadline) -> None:
    server.answer(EVENTS, lambda request: page(n := page_of(request), 4, [n, n + 1]))
    async with client_of(server, token) as client:
        assert ids(await events(client, deadline)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("told", "actual"), [(9, 3), (3, 9), (2, 9), (1, 4), (999, 2)])
async def test_the_links_say_where_the_list_ends_whatever_was_told(
    server: WireServer, token: str, deadline: Deadline, told: int, actual: int
) -> None:
    def answer(request: Request) -> Reply:
        number = page_of(request)
        return page(number, actual, X_Total_Pages=str(told), X_Total="7")

    server.answer(EVENTS, answer)
    async with client_of(server, token) as client:
        assert ids(await events(client, deadline)) == list(range(1, actual + 1))
    assert len(server.requests) <= actual + 17


async def test_a_fault_on_one_page_repeats_that_page_only(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    def answer(request: Request) -> Reply:
        number = page_of(request)
        first_time = sum(page_of(one) == number for one in server.requests) == 1
        return Reply(b"", status=502) if number in (3, 7) and first_time else page(number, 9)

    server.answer(EVENTS, answer)
    async with client_of(server, token) as client:
        assert ids(await events(client, deadline)) == list(range(1, 10))
    assert len(server.requests) == 11


async def test_a_page_that_fails_gives_no_half_set_and_leaves_nothing_under_way(
    server: WireServer, token: str, deadline: Deadline
) -> None:
    def answer(request: Request) -> Reply:
        number = page_of(request)
        return Reply({"message": "no"}, status=403) if number == 3 else page(number, 50)

    server.answer(EVENTS, answer)
    async with client_of(server, token, max_in_flight=4) as client:
        with pytest.raises(GitLabError) as raised:
            await events(client, deadline)
        assert raised.value.code == "FORBIDDEN"
        await eventually(lambda: server.in_flight == 0)
        asked = len(server.requests)
        server.on(EVENTS, page(1, 1))
        assert ids(await events(client, deadline)) == [1]
        assert len(server.requests) == asked + 1


async def test_the_budget_covers_all_pages_together(server: WireServer, token: str) -> None:
    server.answer(EVENTS, lambda request: Reply(hang=True) if page_of(request) == 4 else page(page_of(request), 9))
    async with client_of(server, token) as client:
        with pytest.raises(GitLabError) as raised:
            await events(client, Deadline.after(0.3, time.monotonic))
    assert raised.value.code == "TIMEOUT"


@pytest.mark.parametrize("totals", [{}, {"X_Total_Pages": "", "X_Total": ""}])
async def test_a_list_that_does_not_fit_into_memory_is_refused(
    server: WireServer, token: str, deadline: Deadline, monkeypatch: pytest.MonkeyPatch, totals: dict[str, str]
) -> None:
    monkeypatch.setattr(pagination, "MAX_LIST_BYTES", 20_000)
    server.answer(EVENTS, lambda request: page(page_of(request), 900, list(range(1, 300)), **totals))
    async with client_of(server, token, max_in_flight=4) as client:
        with pytest.raises(InvalidPayloadError, match="larger than 20000 bytes"):
            await events(client, deadline)
    assert len(server.requests) < 20


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_side_by_side_or_not_a_list_gives_the_same(data: st.DataObject) -> None:
    """Whatever pages and links a server has: the reading ahead only asks sooner."""
    last = data.draw(st.integers(1, 12))
    rows = data.draw(st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=3), min_size=last, max_size=last))
    following = [data.draw(st.sampled_from([n + 1, n + 1, n + 1, n + 1, n + 2, n, 1])) for n in range(1, last)]
    told = data.draw(st.integers(0, 15))

    def answers(with_totals: bool) -> Callable[[Request], Reply]:
        def answer(request: Request) -> Reply:
            number = page_of(request)
            next_one = str(following[number - 1]) if number < last else ""
            totals = {"X_Total_Pages": str(told) if with_totals else "", "X_Total": "1"}
            return page(number, last, rows[number - 1] if number <= last else (), X_Next_Page=next_one, **totals)

        return answer

    async def read(with_totals: bool) -> list[int] | str:
        async with WireServer() as server:
            server.answer(EVENTS, answers(with_totals))
            async with GitLabClient(server.url, "a-token", limiter=RateLimiter(4)) as client:
                try:
                    return ids(await events(client, Deadline.after(30, time.monotonic)))
                except GitLabError as error:
                    return error.message

    async def both() -> tuple[list[int] | str, list[int] | str]:
        return await read(with_totals=True), await read(with_totals=False)

    side_by_side, one_by_one = asyncio.run(both())
    assert side_by_side == one_by_one


async def test_a_thousand_notes_take_few_round_trips(sandbox: RunningSandbox) -> None:
    """Page after page they would take a second at the least."""
    for number in range(1000):
        sandbox.control.add_note(20, f"note {number}")
    sandbox.control.clear_requests()
    sandbox.control.set_latency(200)
    async with GitLabClient(sandbox.url, sandbox.token, limiter=RateLimiter()) as client:
        began = time.monotonic()
        key = EntityKey(EntityType.ISSUE, 20)
        deadline = Deadline.after(30, time.monotonic)
        found = await client.dependent(4201, key, dependent=Dependent.DISCUSSIONS, deadline=deadline)
        seconds = time.monotonic() - began
    assert len(found.records) >= 1000
    requests = sandbox.control.requests().count
    assert requests >= 10
    assert seconds < requests * 0.2 / 2
