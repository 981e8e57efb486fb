"""A backfill through a real daemon, the same again with only_changed, and one sync of the same issues beside it.

`python -m benchmarks.backfill [--issues 1000 10000] [--latency 20] [--chunk 500]`: for each number a ledger and
a `dagster dev` of its own; the sandbox is another process. Seconds are those of the command, from its start to its
summary, and so include the daemon's looks every 30 s; those of one sync are its run's. In the end it says which of
the goals were missed, with exit code 1 if any was.
"""

import argparse
import json
import math
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
MOST_GROWTH = 1.2
"""An issue of the most to one of the fewest."""
HEAD = """\
| issues | what | runs | requests | seconds | ms per issue | event rows per issue | peak MB of a run \
| lock failures |
|---:|---|---:|---:|---:|---:|---:|---:|---:|"""
_SAMPLE_SECONDS = 0.1
_MB = 1024 * 1024


@dataclass
class Memory:
    """The most that each process below one had, by its id, and all together, in MB."""

    peaks: dict[int, float] = field(default_factory=dict)
    together: float = 0.0
    stopped: threading.Event = field(default_factory=threading.Event)

    def sample(self, pid: int) -> None:
        while not self.stopped.wait(_SAMPLE_SECONDS):
            sizes = dict(_sizes(pid))
            self.together = max(self.together, sum(sizes.values()))
            for one, size in sizes.items():
                self.peaks[one] = max(size, self.peaks.get(one, 0.0))


def _sizes(pid: int) -> Iterator[tuple[int, float]]:
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            yield process.pid, process.memory_info().rss / _MB


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one way to sync so many issues. ``fewest``: requests that it cannot do without."""

    issues: int
    what: str
    runs: int
    fewest: int
    requests: int
    seconds: float
    events: int
    peak_mb: float
    lock_failures: int

    @property
    def ms_per_issue(self) -> float:
        return self.seconds / self.issues * 1000

    def __str__(self) -> str:
        return (
            f"| {self.issues:,} | {self.what} | {self.runs} | {self.requests:,} | {self.seconds:.1f} "
            f"| {self.ms_per_issue:.1f} | {self.events / self.issues:.2f} | {self.peak_mb:.0f} "
            f"| {self.lock_failures} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--issues", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--latency", type=int, default=20, help="milliseconds an answer (default 20)")
    parser.add_argument("--chunk", type=int, default=500, help="issues of a run (default 500)")
    arguments = parser.parse_args()
    print(HEAD)
    found: list[tuple[Figures, Figures]] = []
    for number in arguments.issues:
        iids = existing_issues(max(number, 20))[:number]
        with (
            sandbox(issues=max(number, 20)) as (url, token),
            SandboxControl(url) as control,
        ):
            control.set_latency(arguments.latency)
            found.append(measured(iids, url=url, token=token, chunk=arguments.chunk))
            print(beside(iids, url=url, token=token), flush=True)
    missed = list(missed_goals(found))
    print("\n".join(missed) or "all goals are met")
    raise SystemExit(1 if missed else 0)


def missed_goals(found: Sequence[tuple[Figures, Figures]]) -> Iterator[str]:
    """``found``: the whole backfill and that of what had not changed, of each number of issues."""
    wholes = sorted((whole for whole, _ in found), key=lambda one: one.issues)
    growth = wholes[-1].ms_per_issue / wholes[0].ms_per_issue
    if len(wholes) > 1:
        print(f"an issue of {wholes[-1].issues:,} to one of {wholes[0].issues:,}, ratio: {growth:.2f}")
    if growth > MOST_GROWTH:
        yield f"MISSED: that ratio is to be {MOST_GROWTH} at most"
    for whole, again in found:
        for one in (whole, again):
            if one.lock_failures:
                yield f"MISSED: {one.lock_failures} failures by the lock, {one.issues:,} issues, {one.what}"
        if again.requests > again.fewest:
            yield f"MISSED: {again.requests:,} requests for {again.issues:,} unchanged, not {again.fewest:,}"


def beside(iids: Sequence[int], *, url: str, token: str) -> Figures:
    """One sync of the same issues in a process of its own."""
    taken = one_sync(Scope.of(PROJECT, issue_iids=iids), url=url, token=token)
    return Figures(
        len(iids),
        "one sync",
        runs=1,
        fewest=0,
        requests=int(taken["requests"]),
        seconds=taken["seconds"],
        events=0,
        peak_mb=taken["memory_peak_mb"],
        lock_failures=0,
    )


def measured(iids: Sequence[int], *, url: str, token: str, chunk: int) -> tuple[Figures, Figures]:
    """The whole backfill, and then that of what has not changed since; a row is printed for each."""
    with (
        tempfile.TemporaryDirectory() as folder,
        daemon(Path(folder), url=url, token=token) as (environment, memory),
    ):
        listed = Path(folder, "issues.txt")
        listed.write_text(str(Scope.of(PROJECT, issue_iids=iids)), encoding="utf-8")
        options = ["--from-file", str(listed), "--chunk", str(chunk)]
        whole = backfilled(environment, memory, "backfill", options=options)
        again = backfilled(environment, memory, "--only-changed", options=[*options, "--only-changed"])
        print(f"all processes of `dagster dev` together: {memory.together:.0f} MB at most", flush=True)
    return whole, again


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


def backfilled(environment: dict[str, str], memory: Memory, name: str, *, options: Sequence[str]) -> Figures:
    """One backfill by the command, to its end; its row is printed."""
    began = time.monotonic()
    done = subprocess.run(
        [PROGRAM, "backfill", *options, "--yes", "--json"],
        env=environment,
        cwd=environment["DAGSTER_HOME"],
        stdout=subprocess.PIPE,
        check=False,
    )
    seconds = time.monotonic() - began
    if not done.stdout:
        raise SystemExit(f"no backfill was launched, exit code {done.returncode}")
    document: dict[str, Any] = json.loads(done.stdout)
    progress = document["status"]["progress"]
    if done.returncode or progress["done"] != progress["entities"]:
        raise SystemExit(f"not all came up to date, exit code {done.returncode}: {progress}")
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        runs = [
            run.run_id for run in instance.get_runs(dg.RunsFilter(tags={BACKFILL_TAG: document["backfill_id"]}))
        ]
        events = sum(len(instance.all_logs(run)) for run in runs)
    requests, failures, pids = of_ledger(Path(environment["SURGICAL_LEDGER"]), runs)
    figures = Figures(
        progress["entities"],
        name,
        runs=len(runs),
        # Its project for each run, and a page for each hundred.
        fewest=len(runs) + math.ceil(progress["entities"] / 100),
        requests=requests,
        seconds=seconds,
        events=events,
        peak_mb=max((memory.peaks.get(pid, 0.0) for pid in pids), default=0.0),
        lock_failures=failures,
    )
    print(figures, flush=True)
    return figures


def of_ledger(path: Path, runs: Sequence[str]) -> tuple[int, int, list[int]]:
    """Requests of these runs, failures of runs and entities because of the lock, and the runs' processes."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "SELECT http_requests, pid, failure_code = 'LOCK_TIMEOUT' FROM sync_runs WHERE run_id = ANY($runs)",
            {"runs": list(runs)},
        ).fetchall()
        ((of_entities,),) = connection.execute(
            "SELECT count(*) FROM entity_failures WHERE run_id = ANY($runs) AND code = 'LOCK_TIMEOUT'",
            {"runs": list(runs)},
        ).fetchall()
    failures = sum(bool(row[2]) for row in rows) + int(of_entities)
    return sum(int(row[0]) for row in rows), failures, [int(row[1]) for row in rows if row[1] is not None]


if __name__ == "__main__":
    main()
