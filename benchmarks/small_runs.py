"""Many small runs in turn on one new ledger, which is how sensors use it: does one cost what the first cost?

`python -m benchmarks.small_runs [--runs 200] [--issues 30]`: one-issue syncs, again and again over so many issues,
each with its lock time as its own row tells it.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.sync import existing_issues, run
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox

GROUP = 10
"""Runs whose median is told as one figure: a single one is noise."""


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--runs", type=int, default=200)
    arguments.add_argument("--issues", type=int, default=30)
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, RunningSandbox(build_sample(issues=150)) as sandbox:
        path = Path(folder, "ledger.duckdb")
        os.environ |= {
            "DAGSTER_HOME": folder,
            "SURGICAL_LEDGER": str(path),
            "GITLAB_URL": sandbox.url,
            "GITLAB_TOKEN": sandbox.token,
        }
        Path(folder, "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        iids = existing_issues()[: wanted.issues]
        scopes = [Scope.of("acme/rocket", issue_iids=[iid]) for iid in iids]
        results = [run(scopes[number % len(scopes)], path) for number in range(wanted.runs)]
        report(results)
        log = Path(f"{path}.wal")
        size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
        print(f"file with its log                     {size / 1_000_000:.2f} MB for {wanted.issues} issues")


def report(results: list[SyncResult]) -> None:
    held = [result.lock.held_ms for result in results]
    first, last = statistics.median(held[:GROUP]), statistics.median(held[-GROUP:])
    print("| runs | lock held, median ms | most | longest window, median ms | most | windows | run, median ms |")
    print("|---|---|---|---|---|---|---|")
    for start in range(0, len(results), max(GROUP, len(results) // 10)):
        group = results[start : start + GROUP]
        times = [one.lock.held_ms for one in group]
        longest = [one.lock.longest_held_ms for one in group]
        print(
            f"| {start + 1}-{start + len(group)} | {statistics.median(times):.0f} | {max(times):.0f} "
            f"| {statistics.median(longest):.0f} | {max(longest):.0f} "
            f"| {statistics.median(one.lock.windows for one in group):.0f} "
            f"| {statistics.median(one.duration_ms or 0 for one in group):.0f} |"
        )
    print(f"lock held, last {GROUP} to first {GROUP}         {last / first:.2f}")
    print(f"longest window of all                 {max(one.lock.longest_held_ms for one in results):.0f} ms")


if __name__ == "__main__":
    main()
