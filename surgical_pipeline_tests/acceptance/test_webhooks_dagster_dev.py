"""The sensor under a real daemon, which it is on in by itself where a secret is set."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import DagsterDev, running_dagster_dev, wait_until
from surgical_pipeline_tests.integration.ledger.examples import issue
from surgical_pipeline_tests.integration.ledger.inbox import receive, states

pytestmark = [pytest.mark.dagster_dev, pytest.mark.usefixtures("sandbox")]

LIMIT_SECONDS = 120
_TAGS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
_TICKS = """
query ($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
  description sensorState { status ticks(limit: 20) { status skipReason runIds error { message } } } } } }
"""
_SELECTOR = {
    "repositoryLocationName": "surgical_pipeline.definitions",
    "repositoryName": "__repository__",
    "sensorName": "gitlab_webhooks",
}


@pytest.fixture
def hooked(tmp_path: Path, running_sandbox: RunningSandbox) -> Iterator[DagsterDev]:
    """A `dagster dev` that expects hooks; its ledger is `ledger.duckdb` in its folder."""
    environment = {
        "GITLAB_URL": running_sandbox.url,
        "GITLAB_TOKEN": running_sandbox.token,
        "SURGICAL_LEDGER": str(tmp_path / "ledger.duckdb"),
        "SURGICAL_WEBHOOK_SECRET": "a secret",
    }
    with running_dagster_dev(tmp_path, environment) as dev:
        yield dev


def sensor_of(dev: DagsterDev) -> dict[str, Any]:
    found: dict[str, Any] = dev.graphql(_TICKS, selector=_SELECTOR)["sensorOrError"]
    return found


def test_an_event_becomes_a_run_that_settles_it(
    hooked: DagsterDev, tmp_path: Path, running_sandbox: RunningSandbox
) -> None:
    rocket = int(running_sandbox.control.update_issue(12, title="Engine")["project_id"])
    ledger = DuckDBLedger(tmp_path / "ledger.duckdb", lock_timeout_seconds=20)
    receive(ledger, issue(12), seq=1, project_id=rocket)
    wait_until(
        lambda: {state for _, state, _ in states(ledger)} == {"done"},
        limit_seconds=LIMIT_SECONDS,
        what="the event is done",
    )
    ((run_id, status),) = hooked.runs_with_tag("surgical/events", "1 event, up to 1").items()
    assert status in ("STARTED", "SUCCESS")
    tags = {one["key"]: one["value"] for one in hooked.graphql(_TAGS, id=run_id)["runOrError"]["tags"]}
    assert {key: value for key, value in tags.items() if key.startswith("surgical/")} == {
        "surgical/events": "1 event, up to 1",
        "surgical/outcome": "succeeded",
        "surgical/project": "acme/rocket",
        "surgical/scope": "acme/rocket#12",
        "surgical/trigger": "webhook",
    }
    assert not [key for key in tags if key.startswith(".dagster/")]
    sensor = sensor_of(hooked)
    ticks = sensor["sensorState"]["ticks"]
    assert [tick["error"] for tick in ticks if tick["error"]] == []
    assert [tick["runIds"] for tick in ticks if tick["runIds"]] == [[run_id]]
    told = {tick["skipReason"] for tick in ticks if tick["status"] == "SKIPPED"}
    assert all(reason.endswith(".") for reason in told)
    assert sensor["description"].endswith(".")
