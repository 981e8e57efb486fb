"""Dagster's daemon dies between what a sensor answers and the submission of its runs."""

import os
from collections import Counter
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import TickStatus

from surgical_pipeline.defs.dagster_runs import EVENTS_TAG, SCOPE_TAG
from surgical_pipeline.defs.sensors.requests import WEBHOOKS
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.dagster_home import OURS
from surgical_pipeline_tests.integration.defs.sensors.daemon import (
    KILLED,
    LIMIT_SECONDS,
    SensorDaemon,
    sensor_daemon,
)
from surgical_pipeline_tests.integration.defs.sensors.webhooks import Inbox

pytestmark = pytest.mark.processes

CRASHES = 10
POINTS: dict[str, list[str]] = {
    "AUTOMATION_EVALUATIONS_ADDED": [],
    "RUN_IDS_RESERVED": [],
    "RUN_CREATED": ["NOT_STARTED"],
    "RUN_LAUNCHED": ["QUEUED"],
}
"""Where the daemon dies, and what it leaves of two runs: nothing, a reserved id, or one run that it has begun.

The first point is the one after the sensor's answer and before anything of it is stored.
"""


@pytest.fixture
def daemon(inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SensorDaemon]:
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    environment = {
        "DAGSTER_HOME": str(tmp_path),
        "SURGICAL_LEDGER": str(tmp_path / "ledger.duckdb"),
        "SURGICAL_WEBHOOK_SECRET": "a-secret-of-tests",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with sensor_daemon(inbox.instance, tmp_path, environment) as running:
        yield running


def test_what_the_sensor_asked_for_comes_as_one_run_each_wherever_the_daemon_dies(
    inbox: Inbox, daemon: SensorDaemon
) -> None:
    for number, point in enumerate(islice(cycle(POINTS), CRASHES), start=1):
        inbox.receive(number, project_id=7)
        inbox.receive(number, project_id=8, path="'acme/lander'")
        wanted = {f"acme/rocket#{number}", f"acme/lander#{number}"}
        wait_until(
            lambda point=point: daemon.look({WEBHOOKS: point}) == KILLED,  # type: ignore[misc]
            limit_seconds=LIMIT_SECONDS,
            what=f"the daemon dies at {point}",
        )
        left = [run.status.value for scope, run in runs_of(inbox.instance) if scope in wanted]
        assert left == POINTS[point], f"after {point}"
        wait_until(
            lambda wanted=wanted: look_then_submitted(daemon, inbox, wanted),  # type: ignore[misc]
            limit_seconds=LIMIT_SECONDS,
            what=f"what was asked for before the crash at {point} is submitted",
        )
    wait_until(
        lambda: daemon.look() == 0 and skipped_last(inbox.instance),
        limit_seconds=LIMIT_SECONDS,
        what="a tick that asks for nothing",
    )
    runs = runs_of(inbox.instance)
    asked = {f"acme/{name}#{number}" for name in ("rocket", "lander") for number in range(1, CRASHES + 1)}
    assert Counter(scope for scope, _ in runs) == Counter(asked)
    assert {run.status for _, run in runs} == {dg.DagsterRunStatus.QUEUED}
    assert len({run.tags[EVENTS_TAG] for _, run in runs}) == 2 * CRASHES


def look_then_submitted(daemon: SensorDaemon, inbox: Inbox, wanted: set[str]) -> bool:
    assert daemon.look() == 0
    return wanted <= {scope for scope, run in runs_of(inbox.instance) if run.status.value == "QUEUED"}


def runs_of(instance: dg.DagsterInstance) -> list[tuple[str, dg.DagsterRun]]:
    return [(run.tags[SCOPE_TAG], run) for run in instance.get_runs()]


def skipped_last(instance: dg.DagsterInstance) -> bool:
    (state,) = [state for state in instance.all_instigator_state() if state.instigator_name == WEBHOOKS]
    (tick,) = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    return tick.status is TickStatus.SKIPPED
