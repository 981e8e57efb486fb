"""One run's stages, called one by one as the ops do it, without Dagster."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from surgical_pipeline.domain.belonging import Belonging
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.handover import EmbedResult, GenerateDocsResult, PreflightResult, Sources
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.records import DocumentVersion
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.embedders.protocol import Embedder
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger.clock import Clock, utc_now
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.sandbox.tokens import SANDBOX_TOKEN
from surgical_pipeline.stages.dependents import run_dependents
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.embed import run_embed_for_document_ids
from surgical_pipeline.stages.ingest import run_ingest
from surgical_pipeline.stages.preflight import run_preflight
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder

T = TypeVar("T")
ISSUES = "/api/v4/projects/4201/issues"
MERGE_REQUESTS = "/api/v4/projects/4201/merge_requests"
"""Lists of the sandbox's project."""
_QUICKLY = RetryPolicy(max_attempts=2, base_seconds=0.01)


def issue(iid: int) -> EntityKey:
    return EntityKey(EntityType.ISSUE, iid)


def merge_request(iid: int) -> EntityKey:
    return EntityKey(EntityType.MERGE_REQUEST, iid)


class StageRun:
    """A running run over ``scope``.

    ``folder``: for its snapshots. ``recorder``: another one than the usual, made for this ledger. ``wall``: the
    clock of the run's machine.
    """

    def __init__(
        self,
        scope: str,
        *,
        url: str,
        ledger: Ledger,
        run_id: str,
        folder: Path,
        token: str = SANDBOX_TOKEN,
        recorder: Callable[[Ledger, str], SyncRunRecorder] = SyncRunRecorder,
        wall: Clock = utc_now,
    ) -> None:
        self.scope = Scope.parse(scope)
        self.ledger = ledger
        self.recorder = recorder(ledger, run_id)
        self._url, self._token = url, token
        self._folder = folder
        self.clock = GitLabClock(wall)
        self.recorder.start_surgical(self.scope, mode=RunMode.SURGICAL, trigger=Trigger.CLI)

    def preflight(self, budgets: Budgets | None = None) -> PreflightResult:
        snapshots = SnapshotFile(self._folder / f"{self.recorder.run_id}.jsonl")
        return self._with_gitlab(
            lambda gitlab: run_preflight(
                self.scope,
                gitlab=gitlab,
                snapshots=snapshots,
                budgets=budgets or Budgets(),
                belongs_to=self.recorder.belongs_to,
            )
        )

    def ingest(self, preflight: PreflightResult, *, only_changed: Sequence[Dependent] = ()) -> Sources:
        return asyncio.run(run_ingest(preflight, run=self.recorder, clock=self.clock, only_changed=only_changed))

    def dependents(
        self,
        sources: Sources,
        *,
        wanted: Sequence[Dependent] = CORE_DEPENDENTS,
        budgets: Budgets | None = None,
        belongs_to: Belonging | None = None,
    ) -> Sources:
        return self._with_gitlab(
            lambda gitlab: run_dependents(
                sources,
                gitlab=gitlab,
                run=self.recorder,
                budgets=budgets or Budgets(),
                dependents=wanted,
                belongs_to=belongs_to,
            )
        )

    def docs(self, sources: Sources) -> GenerateDocsResult:
        return asyncio.run(run_generate_docs_for_sources(sources, run=self.recorder))

    def embed(
        self, documents: Sequence[DocumentVersion], *, embedder: Embedder, budgets: Budgets | None = None
    ) -> EmbedResult:
        return asyncio.run(
            run_embed_for_document_ids(
                documents, embedder=embedder, run=self.recorder, budgets=budgets or Budgets()
            )
        )

    def up_to_ingest(self) -> Sources:
        return self.ingest(self.preflight())

    def up_to_dependents(self) -> Sources:
        return self.dependents(self.up_to_ingest())

    def up_to_docs(self) -> GenerateDocsResult:
        return self.docs(self.up_to_dependents())

    def up_to_embed(self, embedder: Embedder | None = None) -> EmbedResult:
        """The whole run, by default with an embedder that never fails."""
        return self.embed(self.up_to_docs().documents, embedder=embedder or FakeEmbedder())

    def outcome(self, key: EntityKey) -> EntityOutcome:
        (found,) = self.recorder.outcomes(keys={key})
        return found

    def windows_of(self, work: Callable[[], object]) -> int:
        """How many windows ``work`` opened on the ledger."""
        before = self.ledger.stats.windows
        work()
        return self.ledger.stats.windows - before

    def _with_gitlab(self, work: Callable[[GitLabClient], Awaitable[T]]) -> T:
        async def connected() -> T:
            client = GitLabClient(self._url, self._token, limiter=RateLimiter(), retry=_QUICKLY, clock=self.clock)
            async with client as gitlab:
                return await work(gitlab)

        return asyncio.run(connected())
