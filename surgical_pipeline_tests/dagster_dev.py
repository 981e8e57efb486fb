"""A real `dagster dev` (webserver, daemon, code server) for tests, and its GraphQL."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from surgical_pipeline_tests.conftest import REPOSITORY

START_LIMIT_SECONDS = 120
RUN_LIMIT_SECONDS = 120
TERMINAL = {"SUCCESS", "FAILURE", "CANCELED"}
T = TypeVar("T")

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
            "selector": {
                "repositoryLocationName": "surgical_pipeline.definitions",
                "repositoryName": "__repository__",
                "jobName": "surgical_sync_job",
            },
            "runConfigData": {"ops": {"surgical_sync": {"config": config}}},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]},
        }
        answer: dict[str, Any] = self.graphql(_LAUNCH, params=params)["launchRun"]
        return answer

    def status(self, run_id: str) -> str:
        return str(self.graphql(_STATUS, id=run_id)["runOrError"]["status"])

    def wait_for_end(self, run_id: str) -> str:
        def ended() -> str | None:
            status = self.status(run_id)
            return status if status in TERMINAL else None

        return wait_until(ended, limit_seconds=RUN_LIMIT_SECONDS, what=f"run {run_id} ends")


@contextmanager
def running_dagster_dev(home: Path, environment: dict[str, str]) -> Iterator[DagsterDev]:
    """Start it with this repository's dagster.yaml in ``home``; end its whole process tree afterwards."""
    (home / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    port = _free_port()
    log = home / "dagster-dev.log"
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(REPOSITORY / "workspace.yaml")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=home,
            env={**os.environ, **environment, "DAGSTER_HOME": str(home)},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            # A shell that started pytest with & has SIGINT ignored, and children would inherit that.
            preexec_fn=_default_signals,  # noqa: PLW1509  it calls nothing that takes a lock
        )
    dev = DagsterDev(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until(lambda: _loaded(dev), limit_seconds=START_LIMIT_SECONDS, what="dagster dev is up")
        yield dev
    finally:
        end_tree(process)


def end_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole tree, then SIGKILL to what is left after 10 s."""
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _default_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
