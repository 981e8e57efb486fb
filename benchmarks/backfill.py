"""A backfill through a real daemon, the same again with only_changed, and one sync of the same issues beside it.

`python -m benchmarks.backfill [--issues 1000 10000] [--latency 20] [--chunk 500]`: for each number a ledger and
a `dagster dev` of its own; the sandbox is another process. Seconds are those of the command, from its start to its
summary, and so include the daemon's looks every 30 s.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psutil

from benchmarks.fetching import PROJECT, existing_issues, one_sync, sandbox
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.sandbox.control_client import SandboxControl
from surgical_pipeline_tests.dagster_dev import running_dagster_dev

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
BACKFILL_TAG = "dagster/backfill"
_SAMPLE_SECONDS = 0.5
_MB = 1024 * 1024


@dataclass
class Memory:
    """Of the processes below one: the most that one of them had, and all together."""

    largest_mb: float = 0.0
    together_mb: float = 0.0
    stopped: threading.Event = field(default_factory=threading.Event)

    def sample(self, pid: int) -> None:
        while not self.stopped.wait(_SAMPLE_SECONDS):
            sizes = list(_sizes(pid))
            self.largest_mb = max([self.largest_mb, *sizes])
            self.together_mb = max(self.together_mb, sum(sizes))


def _sizes(pid: int) -> Iterator[float]:
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            yield process.memory_info().rss / _MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--issues", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--latency", type=int, default=20, help="milliseconds an answer (default 20)")
    parser.add_argument("--chunk", type=int, default=500, help="issues of a run (default 500)")
    arguments = parser.parse_args()
    print("| issues | what | runs | requests | seconds | ms per issue | event rows per issue | lock failures |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    per_issue = {}
    for number in arguments.issues:
        iids = existing_issues(max(number, 20))[:number]
        with (
            sandbox(issues=max(number, 20)) as (url, token),
            SandboxControl(url) as control,
        ):
            control.set_latency(arguments.latency)
            per_issue[number] = measured(iids, url=url, token=token, chunk=arguments.chunk)
            beside = one_sync(Scope.of(PROJECT, issue_iids=iids), url=url, token=token)
            told(number, "one sync", 1, beside["requests"], beside["seconds"], 0, 0)
    least, most = min(per_issue), max(per_issue)
    if least != most:
        print(f"an issue of {most:,} to one of {least:,}, ratio: {per_issue[most] / per_issue[least]:.2f}")


def measured(iids: Sequence[int], *, url: str, token: str, chunk: int) -> float:
    """Milliseconds for each issue of the whole backfill; a row is printed for it, and for what did not change."""
    with (
        tempfile.TemporaryDirectory() as folder,
        daemon(Path(folder), url=url, token=token) as (environment, memory),
    ):
        listed = Path(folder, "issues.txt")
        listed.write_text(str(Scope.of(PROJECT, issue_iids=iids)), encoding="utf-8")
        seconds = [
            backfilled(
                environment, len(iids), name, options=["--from-file", str(listed), "--chunk", str(chunk), *more]
            )
            for name, more in (("backfill", ()), ("--only-changed", ("--only-changed",)))
        ]
        print(
            f"largest process {memory.largest_mb:.0f} MB, all of dagster dev {memory.together_mb:.0f} MB",
            flush=True,
        )
    return seconds[0] / len(iids) * 1000


@contextmanager
def daemon(folder: Path, *, url: str, token: str) -> Iterator[tuple[dict[str, str], Memory]]:
    environment = {"GITLAB_URL": url, "GITLAB_TOKEN": token, "SURGICAL_LEDGER": str(folder / "ledger.duckdb")}
    with running_dagster_dev(folder, environment) as running:
        memory = Memory()
        sampling = threading.Thread(target=memory.sample, args=(running.process.pid,))
        sampling.start()
        try:
            yield os.environ | environment | {"DAGSTER_HOME": str(folder)}, memory
        finally:
            memory.stopped.set()
            sampling.join()


def backfilled(environment: dict[str, str], issues: int, name: str, *, options: Sequence[str]) -> float:
    """Seconds of the command; a row is printed for it."""
    began = time.monotonic()
    done = subprocess.run(
        [PROGRAM, "backfill", *options, "--yes", "--json"],
        env=environment,
        cwd=environment["DAGSTER_HOME"],
        stdout=subprocess.PIPE,
        check=False,
    )
    seconds = time.monotonic() - began
    found: dict[str, Any] = json.loads(done.stdout)
    progress = found["status"]["progress"]
    if done.returncode or progress["done"] != issues:
        raise SystemExit(f"not all came up to date, exit code {done.returncode}: {progress}")
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        runs = [run.run_id for run in instance.get_runs(dg.RunsFilter(tags={BACKFILL_TAG: found["backfill_id"]}))]
        events = sum(len(instance.all_logs(run)) for run in runs)
    requests, failures = of_ledger(Path(environment["SURGICAL_LEDGER"]), runs)
    told(issues, name, len(runs), requests, seconds, events, failures)
    return seconds


def of_ledger(path: Path, runs: Sequence[str]) -> tuple[int, int]:
    """Requests of these runs, and failures because of the lock."""
    with duckdb.connect(str(path), read_only=True) as connection:
        ((requests, failures),) = connection.execute(
            "SELECT sum(http_requests), count(*) FILTER (failure_code = 'LOCK_TIMEOUT') FROM sync_runs "
            "WHERE run_id IN (SELECT unnest($runs))",
            {"runs": list(runs)},
        ).fetchall()
    return int(requests), int(failures)


def told(issues: int, what: str, runs: int, requests: float, seconds: float, events: int, failures: int) -> None:
    print(
        f"| {issues:,} | {what} | {runs} | {requests:,.0f} | {seconds:.1f} | {seconds / issues * 1000:.1f} "
        f"| {events / issues:.2f} | {failures} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
