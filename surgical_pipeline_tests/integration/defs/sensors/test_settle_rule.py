"""Polling keeps a ledger equal to a GitLab that throttles ``updated_at``, and without the settle rule it does not.

The sandbox's clock is set ahead instead of waiting; its answers tell it, and everything here goes by that.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.defs.sensors.gitlab_changes import gitlab_changes
from surgical_pipeline.defs.sync.config import GRAPH, scope_of_run
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.dagster_home import move_in, run_job
from surgical_pipeline_tests.random_edits import RandomEdits
from surgical_pipeline_tests.store_equals_sandbox import differences

ROUNDS, EDITS_A_ROUND = 5, 40
LONGEST_REST = 12


class SandboxTime:
    """The machine's time, and what was added to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(tz=UTC) + self.ahead

    def pass_by(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


class Follower:
    """The sensor and its runs, one after the other, as Dagster would do it."""

    def __init__(self, instance: dg.DagsterInstance, sync: Sync) -> None:
        self._instance = instance
        self._sync = sync
        self._cursor: str | None = None

    def tick(self) -> int:
        """Evaluate once and run what that asks for; returns the number of runs."""
        with dg.build_sensor_context(instance=self._instance, cursor=self._cursor) as context:
            result = gitlab_changes(context)
        assert isinstance(result, dg.SensorResult)
        self._cursor = result.cursor
        requests = list(result.run_requests or [])
        for request in requests:
            self._sync(str(scope_of_run(request.run_config["ops"][GRAPH]["config"], None)))
        return len(requests)


@pytest.fixture
def clock() -> SandboxTime:
    return SandboxTime()


@pytest.fixture
def throttled(clock: SandboxTime) -> Iterator[RunningSandbox]:
    with RunningSandbox(build_sample(issues=150), clock=clock) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path, throttled: RunningSandbox, prepared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    move_in(tmp_path, throttled, monkeypatch=monkeypatch)
    monkeypatch.setenv("SURGICAL_PROJECTS", "acme/rocket")
    shutil.copytree(prepared_home, tmp_path, dirs_exist_ok=True)
    return tmp_path / "ledger.duckdb"


@pytest.fixture
def follower(store: Path) -> Iterator[Follower]:
    with dg.DagsterInstance.get() as instance:
        yield Follower(instance, partial(run_job, DuckDBLedger(store)))


def come_to_rest(follower: Follower, sandbox: RunningSandbox, *, clock: SandboxTime) -> RandomEdits:
    """Edit and follow for some rounds, then follow until nothing is asked for twice in a row."""
    edits = RandomEdits(sandbox.control, seed=4, clock=clock)
    follower.tick()
    for _ in range(ROUNDS):
        edits.make(EDITS_A_ROUND)
        clock.pass_by(12)
        follower.tick()
    quiet = 0
    for _ in range(LONGEST_REST):
        clock.pass_by(70)
        quiet = 0 if follower.tick() else quiet + 1
        if quiet == 2:
            return edits
    raise AssertionError("it does not come to rest")


def test_polling_comes_to_rest_with_what_gitlab_has(
    follower: Follower, throttled: RunningSandbox, store: Path, clock: SandboxTime
) -> None:
    edits = come_to_rest(follower, throttled, clock=clock)
    assert len(edits.made) == ROUNDS * EDITS_A_ROUND
    assert differences(store, throttled.url, expected=edits.expected()) == []


@pytest.mark.usefixtures("unsettled_is_nothing")
def test_without_the_settle_rule_it_does_not(
    follower: Follower, throttled: RunningSandbox, store: Path, clock: SandboxTime
) -> None:
    edits = come_to_rest(follower, throttled, clock=clock)
    assert differences(store, throttled.url, expected=edits.expected()) != []
