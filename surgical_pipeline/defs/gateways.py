"""The resource that opens what a run works with: ledger, GitLab, embedder and the recorder of this run."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from pathlib import Path

import dagster as dg

from surgical_pipeline.embedders.protocol import Embedder
from surgical_pipeline.embedders.registry import create_embedder
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.windows import Ledger
from surgical_pipeline.settings import Settings

SNAPSHOTS_KEPT_SECONDS = 7 * 24 * 3600


class RunGateways:
    """One run's gateways. Everything opens when it is first used: a run without documents loads no model."""

    def __init__(self, settings: Settings, run_id: str) -> None:
        self.settings = settings
        self.started = False
        self._run_id = run_id

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.settings.ledger_path)

    @cached_property
    def run(self) -> SyncRunRecorder:
        return SyncRunRecorder(self.ledger, self._run_id)

    @cached_property
    def embedder(self) -> Embedder:
        return open_embedder(self.settings)

    @property
    def snapshots(self) -> SnapshotFile:
        """The spool of this run; a re-execution reads the one of the run that it continues."""
        return SnapshotFile(self._snapshot_folder / f"{self._run_id}.jsonl")

    def discard_old_snapshots(self) -> None:
        """Remove what failed runs left for a re-execution that nobody asked for within a week."""
        if not self._snapshot_folder.is_dir():
            return
        oldest = time.time() - SNAPSHOTS_KEPT_SECONDS
        for path in self._snapshot_folder.glob("*.jsonl"):
            with suppress(FileNotFoundError):  # another run tidies up, too
                if path.stat().st_mtime < oldest:
                    path.unlink()

    @property
    def _snapshot_folder(self) -> Path:
        return self.settings.dagster_home / "snapshots"

    @asynccontextmanager
    async def gitlab(self, max_in_flight: int) -> AsyncIterator[GitLabClient]:
        """A connected client; what it sent is counted when it closes."""
        async with open_gitlab(self.settings, max_in_flight) as client:
            try:
                yield client
            finally:
                self.run.count_requests(client.stats)


def open_gitlab(settings: Settings, max_in_flight: int = 16) -> GitLabClient:
    """A client for the configured GitLab, not yet connected; use it as an async context manager."""
    gitlab = settings.gitlab
    token = gitlab.token.get_secret_value()
    return GitLabClient(gitlab.url, token, max_in_flight=max_in_flight, ca_bundle=gitlab.ca_bundle)


def open_embedder(settings: Settings) -> Embedder:
    embedder = settings.embedder
    return create_embedder(
        embedder.name,
        url=embedder.url,
        model=embedder.model,
        api_key=embedder.api_key.get_secret_value() if embedder.api_key else None,
    )


class Gateways(dg.ConfigurableResource[RunGateways]):
    """Dagster's handle on `RunGateways`. It has no config: tokens must not reach run config."""

    def create_resource(self, context: dg.InitResourceContext) -> RunGateways:
        run = context.run
        return RunGateways(Settings.from_environment(), run.run_id if run else context.run_id or "")
