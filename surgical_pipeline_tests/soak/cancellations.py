"""How long it takes from Ctrl+C to the cancelled row, by what the run is doing just then."""

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from surgical_pipeline.ledger.runs import RunSummary, list_runs
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.signals import default_signals
from surgical_pipeline_tests.soak.installation import Installation

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
SCOPE = "acme/rocket#1-20"
LIMIT_SECONDS = 60
_SLOW: dict[str, dict[str, object]] = {
    "preflight, fetching": {"path": "/api/v4/projects/*/issues", "delay_ms": 60_000},
    "dependents, fetching": {"path": "/api/v4/projects/*/issues/*/discussions", "delay_ms": 60_000},
    "dependents, waiting to try again": {
        "path": "/api/v4/projects/*/issues/*/discussions",
        "status": 429,
        "headers": {"Retry-After": "15"},
    },
}


def latencies(installation: Installation, *, rounds: int) -> dict[str, float]:
    """Median seconds by moment."""
    return {
        moment: statistics.median(_one(installation, fault, stage=moment.partition(",")[0]) for _ in range(rounds))
        for moment, fault in _SLOW.items()
    }


def start_sync(installation: Installation, scope: str) -> "subprocess.Popen[bytes]":
    """As from a terminal; nobody reads what it prints."""
    return subprocess.Popen(
        [PROGRAM, "sync", scope, "--json"],
        cwd=installation.home,
        env=os.environ | installation.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=default_signals,  # noqa: PLW1509  it calls nothing that takes a lock
    )


def _one(installation: Installation, fault: dict[str, object], *, stage: str) -> float:
    control = installation.sandbox.control
    control.reset()
    control.add_fault(**fault)  # type: ignore[arg-type]
    with start_sync(installation, SCOPE) as process:
        try:
            path = str(fault["path"]).rpartition("/")[2]
            run = _until(installation, lambda run: run.phase == stage and run.status == "running")
            wait_until(
                lambda: any(one.path.endswith(path) for one in control.requests().requests),
                limit_seconds=LIMIT_SECONDS,
                what="the slow request",
            )
            asked = time.time()
            process.send_signal(signal.SIGINT)
            process.wait(LIMIT_SECONDS)
        finally:
            process.kill()
    ended = _until(installation, lambda one: one.run_id == run.run_id and one.status == "cancelled")
    assert ended.cancelled_at is not None
    return ended.cancelled_at.timestamp() - asked


def _until(installation: Installation, wanted: Callable[[RunSummary], bool]) -> RunSummary:
    def found() -> RunSummary | None:
        if not installation.ledger.exists:
            return None
        with installation.ledger.read() as tx:
            return next((run for run in list_runs(tx, limit=1) if wanted(run)), None)

    return wait_until(found, limit_seconds=LIMIT_SECONDS, what="the run is there")
