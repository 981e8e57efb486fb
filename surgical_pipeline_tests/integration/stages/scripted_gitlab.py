"""Whole runs against a GitLab of which a test writes every answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import StageFailedError
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityType, Scope
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.stages.dependents import run_dependents
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.ingest import run_ingest
from surgical_pipeline.stages.preflight import run_preflight
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer

PROJECT = 7
BASE = f"/api/v4/projects/{PROJECT}"
PROJECT_BY_PATH = "/api/v4/projects/acme%2Frocket"
PLURALS = {EntityType.ISSUE: "issues", EntityType.MERGE_REQUEST: "merge_requests"}
_OF_BOTH = {
    "discussions": "discussion",
    "resource_label_events": "resource_label_event",
    "resource_state_events": "resource_state_event",
    "award_emoji": "award_emoji",
}
SAMPLES = {
    EntityType.ISSUE: _OF_BOTH | {"links": "issue_link", "closed_by": "merge_request_simple"},
    EntityType.MERGE_REQUEST: _OF_BOTH
    | {
        "commits": "merge_request_commit",
        "diffs": "merge_request_diff",
        "closes_issues": "issue",
        "approvals": "approvals",
    },
}
"""The last part of each dependent's path, and which real answers it gives; none are of milestone events."""


@asynccontextmanager
async def gitlab_that_answers(replies: Mapping[str, Reply]) -> AsyncIterator[GitLabClient]:
    """A client of a server with these answers by path, and with the project acme/rocket."""
    async with WireServer() as server:
        server.on(PROJECT_BY_PATH, Reply({"id": PROJECT, "path_with_namespace": "acme/rocket"}))
        for path, reply in replies.items():
            server.on(path, reply)
        retry = RetryPolicy(max_attempts=2, base_seconds=0.0)
        async with GitLabClient(server.url, "a-token", limiter=RateLimiter(), retry=retry) as gitlab:
            yield gitlab


def run_up_to_docs(
    run: SyncRunRecorder,
    scope: Scope,
    *,
    replies: Mapping[str, Reply],
    folder: Path,
    dependents: Sequence[Dependent] = tuple(Dependent),
) -> list[EntityOutcome]:
    """Its outcomes. A stage that fails ends the run, as it does under Dagster."""

    async def stages() -> None:
        snapshots = SnapshotFile(folder / f"{run.run_id}.jsonl")
        async with gitlab_that_answers(replies) as gitlab:
            preflight = await run_preflight(scope, gitlab=gitlab, snapshots=snapshots, budgets=Budgets())
            sources = await run_ingest(preflight, run=run)
            await run_dependents(sources, gitlab=gitlab, run=run, budgets=Budgets(), dependents=dependents)
        await run_generate_docs_for_sources(sources, run=run)

    try:
        asyncio.run(stages())
    except StageFailedError as error:
        run.finish_failed(error.failure)
    return run.outcomes()
