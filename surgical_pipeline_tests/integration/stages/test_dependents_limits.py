"""What dependents costs: requests, waiting, memory. The wire server's answers wait for the test."""

import asyncio
import gc
from collections.abc import Sequence

import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.failures import FailureCode, StageFailedError
from surgical_pipeline.domain.handover import Sources
from surgical_pipeline.domain.records import DependentSet
from surgical_pipeline.domain.scope import EntityKey, Scope
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.ledger.content import upsert_entities
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.stages.dependents import GROUP_SIZE, run_dependents
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, Request, WireServer, eventually
from surgical_pipeline_tests.integration.ledger.examples import entity, start
from surgical_pipeline_tests.integration.stages.conftest import Start
from surgical_pipeline_tests.integration.stages.scripted_gitlab import BASE
from surgical_pipeline_tests.integration.stages.stage_run import issue, merge_request
from surgical_pipeline_tests.ledger_dump import query

CORE_PATHS = ("discussions", "resource_label_events", "resource_state_events", "resource_milestone_events")
PATIENT = Budgets(entity_timeout_seconds=300, dependents_budget_seconds=600)
IN_FLIGHT = 16


async def fetch(
    server: WireServer, run: SyncRunRecorder, keys: Sequence[EntityKey], wanted: Sequence[Dependent]
) -> None:
    sources = Sources(project_id=7, project_path="acme/rocket", keys=tuple(keys))
    async with GitLabClient(server.url, "a-token", limiter=RateLimiter(IN_FLIGHT)) as gitlab:
        await run_dependents(sources, gitlab=gitlab, run=run, budgets=PATIENT, dependents=wanted)


async def fetched(ledger: DuckDBLedger, *, of: str = "TRUE") -> int:
    """How many dependents the ledger has whole."""
    counted = f"SELECT count(*) FROM dependent_fetches WHERE {of}"
    found = await ledger.in_read("test", lambda tx: tx._connection.execute(counted).fetchone())
    assert found is not None
    return int(found[0])


def all_issues(sandbox: RunningSandbox, count: int) -> Scope:
    """So many issues that all exist and whose discussions fit on one page."""
    iids = [iid for iid in range(1, 120) if iid != 51]
    issues = sandbox.app.state.world.sample.entities
    known = [iid for iid in iids if (4201, "issue", iid) in issues]
    known += [sandbox.control.create_issue(title="one more")["iid"] for _ in range(count - len(known))]
    return Scope.of("acme/rocket", issue_iids=known[:count], mr_iids=[])


def test_a_hundred_issues_with_their_core_cost_402_requests_and_none_twice(
    start: Start, sandbox: RunningSandbox
) -> None:
    run = start(str(all_issues(sandbox, 100)))
    sandbox.control.clear_requests()
    sources = run.up_to_dependents()
    assert len(sources.keys) == 100
    seen = sandbox.control.requests().requests
    assert len(seen) == 1 + 1 + 4 * 100
    assert len({(one.path, one.query) for one in seen}) == len(seen)
    assert not [one.path for one in seen if one.path.endswith("/notes")]


def test_merge_requests_cost_their_code_once(start: Start, sandbox: RunningSandbox) -> None:
    for dependents in (6, 4):
        sandbox.control.clear_requests()
        run = start("acme/rocket!34+35+36")
        run.dependents(run.up_to_ingest(), wanted=(*CORE_DEPENDENTS, Dependent.COMMITS, Dependent.DIFFS))
        assert sandbox.control.requests().count == 1 + 1 + dependents * 3


@pytest.mark.anyio
async def test_one_hanging_entity_of_a_hundred_holds_up_nobody_else(
    ledger: DuckDBLedger, server: WireServer
) -> None:
    keys = [issue(iid) for iid in range(1, 101)]
    for key in keys:
        for path in CORE_PATHS:
            server.on(f"{BASE}/issues/{key.iid}/{path}", Reply([]))
    gate = asyncio.Event()
    server.on(f"{BASE}/issues/7/discussions", Reply([], gate=gate))
    run = start(ledger, "run-1", "acme/rocket#1-100")
    going = asyncio.create_task(fetch(server, run, keys, CORE_DEPENDENTS))
    async with asyncio.timeout(120):
        while await fetched(ledger, of="iid <> 7") < 4 * 99:  # noqa: ASYNC110  another program writes the ledger
            await asyncio.sleep(0.05)
    assert not going.done()
    assert await fetched(ledger, of="iid = 7") == 0
    gate.set()
    await going
    assert await fetched(ledger) == 4 * 100


@pytest.mark.anyio
async def test_the_timeout_of_an_entity_begins_with_its_own_first_request(
    ledger: DuckDBLedger, server: WireServer
) -> None:
    now = 0.0

    def slow(_: Request) -> Reply:
        nonlocal now
        now += 15
        return Reply([])

    keys = [issue(iid) for iid in range(1, 6)]
    for key in keys:
        server.answer(f"{BASE}/issues/{key.iid}/discussions", slow)
    sources = Sources(project_id=7, project_path="acme/rocket", keys=tuple(keys))
    budgets = Budgets(entity_timeout_seconds=20, dependents_budget_seconds=120)
    run = start(ledger, "run-1", "acme/rocket#1-5")
    async with GitLabClient(server.url, "a-token", limiter=RateLimiter(1)) as gitlab:
        await run_dependents(
            sources,
            gitlab=gitlab,
            run=run,
            budgets=budgets,
            dependents=[Dependent.DISCUSSIONS],
            clock=lambda: now,
        )
    assert await fetched(ledger) == len(keys)


@pytest.mark.anyio
async def test_while_the_ledger_is_held_no_more_is_fetched_than_the_queue_takes(
    ledger: DuckDBLedger, server: WireServer
) -> None:
    keys = [issue(iid) for iid in range(1, 601)]
    for key in keys:
        server.on(f"{BASE}/issues/{key.iid}/resource_state_events", Reply([{"id": key.iid}]))
    run = start(ledger, "run-1", "acme/rocket#1-600")
    with DuckDBLedger(ledger.path).write("somebody else"):
        going = asyncio.create_task(fetch(server, run, keys, [Dependent.STATE_EVENTS]))
        await eventually(lambda: len(server.requests) > 2 * GROUP_SIZE)
        before = 0
        while len(server.requests) > before:
            before = len(server.requests)
            await asyncio.sleep(0.5)
        assert before <= 3 * GROUP_SIZE + IN_FLIGHT
        assert not going.done()
    await going
    assert await fetched(ledger) == len(keys)


@pytest.mark.anyio
async def test_what_is_written_is_no_longer_in_memory(ledger: DuckDBLedger, server: WireServer) -> None:
    keys = [issue(iid) for iid in range(1, 301)]
    for key in keys:
        server.on(f"{BASE}/issues/{key.iid}/resource_state_events", Reply([{"id": key.iid}]))
    gate = asyncio.Event()
    server.on(f"{BASE}/issues/300/resource_state_events", Reply([], gate=gate))
    run = start(ledger, "run-1", "acme/rocket#1-300")
    going = asyncio.create_task(fetch(server, run, keys, [Dependent.STATE_EVENTS]))
    async with asyncio.timeout(120):
        while await fetched(ledger) < 299:  # noqa: ASYNC110  another program writes the ledger
            await asyncio.sleep(0.05)
    await asyncio.sleep(0)
    kept = sum(type(one) is DependentSet for one in gc.get_objects())
    gate.set()
    await going
    assert kept <= GROUP_SIZE + IN_FLIGHT


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (404, "404 Project Not Found", FailureCode.PROJECT_NOT_FOUND),
        (401, "401 Unauthorized", FailureCode.UNAUTHORIZED),
    ],
)
async def test_a_project_that_goes_or_a_token_that_is_refused_ends_the_run(
    ledger: DuckDBLedger, server: WireServer, status: int, message: str, code: FailureCode
) -> None:
    server.on(f"{BASE}/issues/1/discussions", Reply([]))
    server.on(f"{BASE}/issues/2/discussions", Reply({"message": message}, status=status))
    run = start(ledger, "run-1", "acme/rocket#1-2")
    with pytest.raises(StageFailedError) as caught:
        await fetch(server, run, [issue(1), issue(2)], [Dependent.DISCUSSIONS])
    assert (caught.value.failure.code, caught.value.failure.stage) == (code, "dependents")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("commits", "diffs", "current"),
    [
        (["c0ffee", "older"], ["a.py"], {"commits", "diffs"}),
        (["newer", "c0ffee"], ["a.py"], set()),
        ([], ["a.py"], set()),
        (["c0ffee"], [], {"commits"}),
    ],
    ids=["as the ledger knows it", "pushed meanwhile", "still being prepared", "diffs still being prepared"],
)
async def test_code_counts_as_current_only_where_its_newest_commit_is_the_head(
    ledger: DuckDBLedger, server: WireServer, commits: list[str], diffs: list[str], current: set[str]
) -> None:
    server.on(f"{BASE}/merge_requests/3/commits", Reply([{"id": one} for one in commits]))
    server.on(f"{BASE}/merge_requests/3/diffs", Reply([{"new_path": one} for one in diffs]))
    run = start(ledger, "run-1", "acme/rocket!3")
    with run.window("ingest") as tx:
        upsert_entities(tx, run.run_id, [entity(merge_request(3))])
    for _ in range(2):
        await fetch(server, run, [merge_request(3)], [Dependent.COMMITS, Dependent.DIFFS])
    known = query(ledger.path, "SELECT dependent FROM dependent_fetches WHERE source_version IS NOT NULL")
    assert {row[0] for row in known} == current
    assert len(server.requests) == 4 - len(current)
