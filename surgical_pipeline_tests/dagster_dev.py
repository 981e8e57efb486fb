"""A real `dagster dev` (webserver, daemon, code server) for tests, and its GraphQL."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import httpx
import psutil

from surgical_pipeline_tests.signals import default_signals
from surgical_pipeline_tests.surroundings import REPOSITORY

START_LIMIT_SECONDS = 120
RUN_LIMIT_SECONDS = 120
TERMINAL = {"SUCCESS", "FAILURE", "CANCELED"}
HELD = {"test/held": "yes"}
"""Tags of a run that stays in Dagster's queue for ever."""
IN_TURN = {"test/in-turn": "yes"}
"""Tags of runs of which one at a time leaves the queue."""
T = TypeVar("T")

_LIMITS = "tag_concurrency_limits:\n"
_QUEUE_RULES = f"""{_LIMITS}\
      - {{key: test/held, limit: 0}}
      - {{key: test/in-turn, limit: 1}}
"""
_REPOSITORY_OF_JOBS = {
    "repositoryLocationName": "surgical_pipeline.definitions",
    "repositoryName": "__repository__",
}

_LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries {
  name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } }
"""
_LAUNCH = """
mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message }
  ... on RunConfigValidationInvalid { errors { message } } } }
"""
_STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
_TERMINATE = """
mutation ($id: String!, $policy: TerminateRunPolicy) { terminateRun(runId: $id, terminatePolicy: $policy) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }
"""
_REEXECUTE = """
mutation ($params: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""
_BACKFILL = """
mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
_CANCEL_BACKFILL = """
mutation ($id: String!) { cancelPartitionBackfill(backfillId: $id) {
  __typename ... on PythonError { message } } }
"""
_BACKFILL_STATUS = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }
"""
_RUNS_WITH_TAG = """
query ($key: String!, $value: String!) { runsOrError(filter: {tags: [{key: $key, value: $value}]}) {
  ... on Runs { results { runId status } } } }
"""


def wait_until(condition: Callable[[], T | None], *, limit_seconds: float, what: str) -> T:
    """Poll until the condition gives something true.

    Raises:
        AssertionError: not within the limit.
    """
    end = time.monotonic() + limit_seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"not within {limit_seconds} s: {what}")


@dataclass(frozen=True)
class DagsterDev:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60)
        body = answer.json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    def launch(self, config: dict[str, Any], *, tags: dict[str, str] | None = None) -> dict[str, Any]:
        """The whole answer of `launchRun` for the surgical job; ``config`` is the block a person edits."""
        params = {
            "selector": {**_REPOSITORY_OF_JOBS, "jobName": "surgical_sync_job"},
            "runConfigData": {"ops": {"surgical_sync": {"config": config}}},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]},
        }
        answer: dict[str, Any] = self.graphql(_LAUNCH, params=params)["launchRun"]
        return answer

    def run(self, config: dict[str, Any], *, tags: dict[str, str] | None = None) -> str:
        """Launch the surgical job; gives the run's id."""
        answer = self.launch(config, tags=tags)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def run_job(self, job: str, run_config: dict[str, Any]) -> str:
        """Launch any of our jobs, as the launchpad does; gives the run's id."""
        params = {"selector": {**_REPOSITORY_OF_JOBS, "jobName": job}, "runConfigData": run_config}
        answer = self.graphql(_LAUNCH, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def terminate(self, run_id: str, *, policy: str = "SAFE_TERMINATE") -> None:
        """What the button *Terminate* does; returns when Dagster has passed it on."""
        answer = self.graphql(_TERMINATE, id=run_id, policy=policy)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def reexecute_from_failure(self, run_id: str) -> str:
        """What *Re-execute from failure* does; gives the new run's id."""
        params = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
        answer = self.graphql(_REEXECUTE, params=params)["launchRunReexecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def backfill(self, keys: Sequence[str], *, tags: dict[str, str]) -> str:
        """A run of `surgical_backfill_job` for each partition key; gives the backfill's id."""
        with dg.DagsterInstance.from_config(str(self.log.parent)) as instance:
            instance.add_dynamic_partitions("scopes", list(keys))
        selector = {
            "partitionSetName": "surgical_backfill_job_partition_set",
            "repositorySelector": _REPOSITORY_OF_JOBS,
        }
        params = {
            "selector": selector,
            "partitionNames": list(keys),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        answer = self.graphql(_BACKFILL, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return str(answer["backfillId"])

    def cancel_backfill(self, backfill_id: str) -> None:
        answer = self.graphql(_CANCEL_BACKFILL, id=backfill_id)["cancelPartitionBackfill"]
        assert answer["__typename"] == "CancelBackfillSuccess", answer

    def backfill_status(self, backfill_id: str) -> str:
        return str(self.graphql(_BACKFILL_STATUS, id=backfill_id)["partitionBackfillOrError"]["status"])

    def runs_with_tag(self, key: str, value: str) -> dict[str, str]:
        """Dagster's status of each such run, by id."""
        found = self.graphql(_RUNS_WITH_TAG, key=key, value=value)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in found}

    def status(self, run_id: str) -> str:
        return str(self.graphql(_STATUS, id=run_id)["runOrError"]["status"])

    def wait_for_end(self, run_id: str) -> str:
        def ended() -> str | None:
            status = self.status(run_id)
            return status if status in TERMINAL else None

        return wait_until(ended, limit_seconds=RUN_LIMIT_SECONDS, what=f"run {run_id} ends")


@contextmanager
def running_dagster_dev(
    home: Path, environment: dict[str, str], *, more_settings: str = ""
) -> Iterator[DagsterDev]:
    """Start it with this repository's dagster.yaml in ``home``; end its whole process tree afterwards.

    Its queue also knows the tags ``HELD`` and ``IN_TURN``.
    """
    settings = (REPOSITORY / "dagster.yaml").read_text(encoding="utf-8")
    assert _LIMITS in settings
    (home / "dagster.yaml").write_text(settings.replace(_LIMITS, _QUEUE_RULES) + more_settings, encoding="utf-8")
    port = _free_port()
    log = home / "dagster-dev.log"
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(REPOSITORY / "workspace.yaml")]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=home,
            env={**os.environ, **environment, "DAGSTER_HOME": str(home)},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            # A shell that started pytest with & has SIGINT ignored, and children would inherit that.
            preexec_fn=default_signals,  # noqa: PLW1509  it calls nothing that takes a lock
        )
    dev = DagsterDev(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until(lambda: _loaded(dev), limit_seconds=START_LIMIT_SECONDS, what="dagster dev is up")
        yield dev
    finally:
        end_tree(process)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the whole tree at once, as when the power goes."""
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for one in tree:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(tree, timeout=10)
    process.wait(timeout=10)


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole tree, then SIGKILL to what is left after 10 s."""
    if process.poll() is not None:  # its id may be another's by now
        return
    try:
        tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        tree = []
    for one in tree:
        with suppress(psutil.NoSuchProcess):
            one.terminate()
    _, alive = psutil.wait_procs(tree, timeout=10)
    for one in alive:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait(timeout=10)


def _loaded(dev: DagsterDev) -> bool:
    assert dev.process.poll() is None, dev.log.read_text(encoding="utf-8")[-4000:]
    try:
        entries = dev.graphql(_LOCATIONS)["workspaceOrError"]["locationEntries"]
    except httpx.TransportError:
        return False
    for entry in entries:
        found = entry["locationOrLoadError"] or {}
        assert found.get("__typename") != "PythonError", found.get("message")
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def _free_port() -> int:
    """Of those that no outgoing connection of another test gets meanwhile: dagster dev takes seconds to listen."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("none of a hundred ports is free")
