"""Whole runs against a GitLab whose answers are real ones bent out of shape."""

import asyncio
import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import StageFailedError
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.stages.dependents import run_dependents
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.ingest import run_ingest
from surgical_pipeline.stages.preflight import run_preflight
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer
from surgical_pipeline_tests.integration.ledger.examples import start
from surgical_pipeline_tests.unit.gitlab.bending import bend
from surgical_pipeline_tests.unit.gitlab.corpus import payloads
from surgical_pipeline_tests.unit.gitlab.owned import give_to

SCOPE = Scope.parse("acme/rocket#1-3!1-2")
PROJECT = 7
ENTITY_PATH_SLASHES = 5
"""/api/v4/projects/7/issues; dependents lie deeper."""
_NEEDED = {key: {"id", "title", "state", "updated_at"} for key in ("issue", "merge_request")}
"""Some samples were shortened by hand."""
_numbers = itertools.count(1)
_DEPENDENTS = {
    "discussions": "discussion",
    "resource_label_events": "resource_label_event",
    "resource_state_events": "resource_state_event",
    "resource_milestone_events": "resource_state_event",
    "award_emoji": "award_emoji",
}
_OF_ISSUES = {"links": "issue_link", "closed_by": "merge_request_simple"}
_OF_MERGE_REQUESTS = {
    "commits": "merge_request_commit",
    "diffs": "merge_request_diff",
    "closes_issues": "issue",
    "approvals": "approvals",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> DuckDBLedger:
    """One ledger for all examples: each run goes on where others left it."""
    return DuckDBLedger(tmp_path_factory.mktemp("mutated") / "ledger.duckdb")


@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example is a run: no time to make one smaller
    suppress_health_check=[HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_answer_bent_out_of_shape_crashes_a_run(
    shared: DuckDBLedger, gitlab_payloads: Path, data: st.DataObject
) -> None:
    answers = real_answers(gitlab_payloads, data)
    bends = data.draw(st.integers(0, 9))
    entities = [path for path in answers if path.count("/") <= ENTITY_PATH_SLASHES]
    for _ in range(bends):
        path = data.draw(st.sampled_from(entities) | st.sampled_from(sorted(answers)))
        wrapped = [answers[path]]
        bend(wrapped, data)
        answers[path] = wrapped[0] if wrapped else None
    run = start(shared, f"run-{next(_numbers)}", str(SCOPE))
    try:
        asyncio.run(whole_run(run, answers, snapshots=shared.path.parent / f"{run.run_id}.jsonl"))
    except StageFailedError as error:
        run.finish_failed(error.failure)
    outcomes = run.outcomes()
    assert [outcome.key for outcome in outcomes] == list(SCOPE.keys())
    assert all(one.usable or one.failure is not None for one in outcomes)
    assert bends or not [one for one in outcomes if one.has_warning]


def real_answers(folder: Path, data: st.DataObject) -> dict[str, Any]:
    """A whole small project made of real answers, whose entities carry this project's id and their own IIDs."""

    def some(kind: str, count: int) -> list[dict[str, Any]]:
        needed = _NEEDED.get(kind, set())
        whole = [one for one in payloads(folder, kind) if needed <= {name for name in one if one[name]}]
        chosen = data.draw(st.lists(st.sampled_from(whole), min_size=count, max_size=count))
        return [copy.deepcopy(one) for one in chosen]

    base = f"/api/v4/projects/{PROJECT}"
    answers: dict[str, Any] = {
        "/api/v4/projects/acme%2Frocket": some("project", 1)[0] | {"id": PROJECT},
        f"{base}/issues": [
            one | {"iid": iid, "project_id": PROJECT} for iid, one in enumerate(some("issue", 3), start=1)
        ],
        f"{base}/merge_requests": [
            one | {"iid": iid, "project_id": PROJECT, "target_project_id": PROJECT}
            for iid, one in enumerate(some("merge_request", 2), start=1)
        ],
    }
    for plural, iids, names in (
        ("issues", SCOPE.issue_iids, _DEPENDENTS | _OF_ISSUES),
        ("merge_requests", SCOPE.mr_iids, _DEPENDENTS | _OF_MERGE_REQUESTS),
    ):
        for iid, (path, kind) in itertools.product(iids, names.items()):
            page = some(kind, 2)
            key = EntityKey(EntityType(plural.removesuffix("s")), iid)
            gitlab_id = answers[f"{base}/{plural}"][iid - 1]["id"]
            for one in page:
                dependent = Dependent[path.removeprefix("resource_").upper()]
                give_to(one, dependent, key, project_id=PROJECT, gitlab_id=gitlab_id)
            answers[f"{base}/{plural}/{iid}/{path}"] = page[0] if path == "approvals" else page
    return answers


async def whole_run(run: SyncRunRecorder, answers: dict[str, Any], *, snapshots: Path) -> None:
    async with WireServer() as server:
        for path, answer in answers.items():
            server.on(path, Reply(answer))
        retry = RetryPolicy(max_attempts=2, base_seconds=0.0)
        async with GitLabClient(server.url, "a-token", limiter=RateLimiter(), retry=retry) as gitlab:
            preflight = await run_preflight(
                SCOPE, gitlab=gitlab, snapshots=SnapshotFile(snapshots), budgets=Budgets()
            )
            sources = await run_ingest(preflight, run=run)
            await run_dependents(sources, gitlab=gitlab, run=run, budgets=Budgets(), dependents=tuple(Dependent))
        await run_generate_docs_for_sources(sources, run=run)
