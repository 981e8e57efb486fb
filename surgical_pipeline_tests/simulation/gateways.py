"""What a simulated run works with: the real gateways over the simulated ledger, network and clocks."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import dagster as dg

from surgical_pipeline.defs.gateways import RunGateways
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.ledger.errors import LedgerError, LedgerReplacedError, RunLostError
from surgical_pipeline.ledger.heartbeat import CHECK_SECONDS
from surgical_pipeline.ledger.joinable import JoinableRecorder
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder
from surgical_pipeline_tests.simulation.gitlab import SimulatedGitLab
from surgical_pipeline_tests.simulation.interruptible import run_interruptible, wait_for
from surgical_pipeline_tests.simulation.ledger import StoredLedger
from surgical_pipeline_tests.simulation.network import client_of
from surgical_pipeline_tests.simulation.processes import Process

T = TypeVar("T")
_NO_SETTINGS = Settings(environment={})


class SimulatedGateways(RunGateways):
    """``interrupted``: set when Dagster interrupts the process to cancel the run."""

    def __init__(
        self, run_id: str, *, process: Process, gitlab: SimulatedGitLab, file: StoredLedger, folder: Path
    ) -> None:
        super().__init__(_NO_SETTINGS, run_id)
        machine = process.machine
        self._process, self._simulated, self._file, self._folder = process, gitlab, file, folder
        self._limiter = RateLimiter(monotonic=machine.time)
        self.monotonic = machine.time
        self.gitlab_clock = GitLabClock(machine.wall, machine.uptime)
        self.interrupted = asyncio.Event()

    @cached_property
    def ledger(self) -> Ledger:
        return self._file.opened_by(self._process)

    @cached_property
    def run(self) -> JoinableRecorder:
        return JoinableRecorder(self.ledger, self._run_id, worker=self._process.identity)

    @cached_property
    def embedder(self) -> FakeEmbedder:
        return FakeEmbedder()

    @asynccontextmanager
    async def gitlab(self, max_in_flight: int) -> AsyncIterator[GitLabClient]:
        del max_in_flight
        client = client_of(self._simulated, self._process, limiter=self._limiter, clock=self.gitlab_clock)
        async with client:
            try:
                yield client
            finally:
                self.run.count_requests(client.stats)

    def run_async(self, work: Callable[[], Awaitable[T]]) -> T:
        """On the one event loop; ends as the real one when Dagster interrupts."""
        return wait_for(self._or_interrupted(work))

    async def _or_interrupted(self, work: Callable[[], Awaitable[T]]) -> T:
        async def called() -> T:
            return await work()

        working = asyncio.ensure_future(called())
        interruption = asyncio.ensure_future(self.interrupted.wait())
        try:
            await asyncio.wait((working, interruption), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                self.interrupted.clear()
                working.cancel()
                await asyncio.wait((working,))
                self._process.must_live()
                raise dg.DagsterExecutionInterruptedError
            return await working
        finally:
            working.cancel()
            interruption.cancel()

    @contextmanager
    def _beating(self) -> Iterator[None]:
        beating = self._process.start(self._beat())
        try:
            yield
        finally:
            beating.cancel()

    def heartbeat(self) -> AbstractContextManager[None]:
        return self._beating()

    async def _beat(self) -> None:
        while True:
            await self._process.sleep(CHECK_SECONDS)
            try:
                await run_interruptible(self.run.heartbeat_if_due)
            except (RunLostError, LedgerReplacedError):
                return
            except LedgerError:
                continue

    @property
    def _snapshot_folder(self) -> Path:
        return self._folder

    def _discard_old_snapshots(self) -> None:
        """They are of another time than the files' own."""
