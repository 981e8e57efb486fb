"""Every dependent of both kinds, from its endpoint to its table: whole or not at all, and never back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.handover import Sources
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.stages.dependents import run_dependents
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer
from surgical_pipeline_tests.integration.ledger.examples import start
from surgical_pipeline_tests.integration.stages.scripted_gitlab import BASE, PLURALS
from surgical_pipeline_tests.integration.stages.stage_run import issue, merge_request
from surgical_pipeline_tests.ledger_dump import query

pytestmark = pytest.mark.anyio

NEIGHBOUR = {issue(3): issue(4), merge_request(3): merge_request(4)}
TABLES = {
    Dependent.DISCUSSIONS: "notes",
    Dependent.LINKS: "issue_links",
    Dependent.CLOSED_BY: "issue_closed_by",
    Dependent.COMMITS: "merge_request_commits",
    Dependent.DIFFS: "merge_request_diffs",
    Dependent.CLOSES_ISSUES: "merge_request_closes_issues",
    Dependent.APPROVALS: "merge_request_approvals",
    Dependent.AWARD_EMOJI: "award_emoji",
}
CASES = [
    (key, dependent) for dependent in Dependent for key in NEIGHBOUR if key.entity_type in dependent.applies_to
]


class Story:
    """One dependent of one entity and of its neighbour, over several runs."""

    def __init__(self, server: WireServer, ledger: DuckDBLedger, key: EntityKey, dependent: Dependent) -> None:
        self.server, self.ledger, self.key, self.dependent = server, ledger, key, dependent
        self.runs = 0

    def gives(self, key: EntityKey, *pages: Reply) -> None:
        """The neighbour's ids are others, as GitLab's are."""
        name = str(self.dependent)
        path = f"resource_{name}" if self.dependent in EVENT_DEPENDENTS else name
        self.server.on(f"{BASE}/{PLURALS[key.entity_type]}/{key.iid}/{path}", *pages)

    def page(self, *numbers: int, more: bool = False) -> Reply:
        if self.dependent is Dependent.APPROVALS:
            return Reply({"approved": bool(numbers), "number": sum(numbers)})
        return Reply(
            [self.item(number) for number in numbers],
            headers={"X-Next-Page": "2"} if more else {},
        )

    def item(self, number: int) -> dict[str, Any]:
        if self.dependent is Dependent.DISCUSSIONS:
            return {"id": f"d{number}", "notes": [{"id": number, "number": number}]}
        if self.dependent is Dependent.DIFFS:
            return {"new_path": f"{number}.py", "number": number}
        name: int | str = f"c{number}" if self.dependent is Dependent.COMMITS else number
        return {"id": name, "number": number}

    async def sync(self, *keys: EntityKey, ago: timedelta = timedelta()) -> SyncRunRecorder:
        """``ago``: how long before now the run's requests were sent."""
        self.runs += 1
        scope = "".join(f"{key.entity_type.sigil}{key.iid}" for key in keys)
        run = start(self.ledger, f"run-{self.runs}", f"acme/rocket{scope}")
        sources = Sources(project_id=7, project_path="acme/rocket", keys=keys)
        retry = RetryPolicy(max_attempts=2, base_seconds=0.0)
        clock = GitLabClock(wall=lambda: datetime.now(UTC) - ago)
        client = GitLabClient(self.server.url, "a-token", limiter=RateLimiter(), retry=retry, clock=clock)
        async with client as gitlab:
            await run_dependents(sources, gitlab=gitlab, run=run, budgets=Budgets(), dependents=[self.dependent])
        return run

    def numbers(self, key: EntityKey) -> list[int]:
        table = TABLES.get(self.dependent, "resource_events")
        typed = table in ("notes", "resource_events", "award_emoji")
        iid = "noteable_iid" if typed else "iid"
        kind = f"AND noteable_type = '{key.entity_type}'" if typed else ""
        found = query(
            self.ledger.path,
            f"SELECT (payload->>'number')::INT FROM {table} WHERE {iid} = {key.iid} {kind} ORDER BY 1",
        )
        return [int(row[0]) for row in found]  # type: ignore[call-overload]


@pytest.mark.parametrize(("key", "dependent"), CASES, ids=str)
async def test_a_dependent_is_replaced_whole_or_keeps_what_it_had(
    server: WireServer, ledger: DuckDBLedger, key: EntityKey, dependent: Dependent
) -> None:
    story = Story(server, ledger, key, dependent)
    many = dependent is not Dependent.APPROVALS
    story.gives(key, story.page(1, 2, more=many), *([story.page(3)] if many else []))
    story.gives(NEIGHBOUR[key], story.page(10))
    run = await story.sync(key, NEIGHBOUR[key])
    assert not [one for one in run.outcomes() if one.dependent_failures]
    whole = story.numbers(key)
    assert whole == ([1, 2, 3] if many else [3])

    broken = Reply(b"", status=500, content_type=None)
    story.gives(key, *([story.page(4, more=True)] if many else []), broken)
    run = await story.sync(key)
    ((failure,),) = [one.dependent_failures for one in run.outcomes()]
    assert (failure.code, failure.dependent) == (FailureCode.SERVER_ERROR, str(dependent))
    assert story.numbers(key) == whole

    story.gives(key, story.page(2))
    await story.sync(key)
    assert story.numbers(key) == [2]
    assert story.numbers(NEIGHBOUR[key]) == [10]

    story.gives(key, story.page())
    await story.sync(key)
    assert story.numbers(key) == ([] if many else [0])
    assert story.numbers(NEIGHBOUR[key]) == [10]


@pytest.mark.parametrize(("key", "dependent"), CASES, ids=str)
async def test_a_fetch_begun_before_the_ledgers_never_replaces_it(
    server: WireServer, ledger: DuckDBLedger, key: EntityKey, dependent: Dependent
) -> None:
    story = Story(server, ledger, key, dependent)
    story.gives(key, story.page(2))
    await story.sync(key)
    story.gives(key, story.page(1))
    run = await story.sync(key, ago=timedelta(seconds=4))
    assert story.numbers(key) == [2]
    (outcome,) = run.outcomes()
    assert not outcome.has_warning
    assert outcome.dependents_stale_skipped == (dependent,)


@pytest.mark.parametrize(("key", "dependent"), CASES, ids=str)
async def test_a_fetch_in_gitlabs_future_is_not_believed_and_the_run_says_so(
    server: WireServer, ledger: DuckDBLedger, key: EntityKey, dependent: Dependent
) -> None:
    story = Story(server, ledger, key, dependent)
    story.gives(key, story.page(1))
    await story.sync(key, ago=-timedelta(days=1))
    story.gives(key, story.page(2))
    run = await story.sync(key)
    assert story.numbers(key) == [2]
    (outcome,) = run.outcomes()
    (warning,) = outcome.warnings
    assert warning.stage == "dependents"
    assert warning.message.startswith(f"the ledger had its {dependent} as fetched at ")
    assert not outcome.dependents_stale_skipped
