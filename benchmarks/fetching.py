"""Requests, seconds and memory of a sync by number of issues and by latency, beside what no client can go below.

The floor is requests * latency / requests in flight (16). The ratio to it is the figure: `fetching` is that of
preflight, ingest and dependents, `whole run` that of everything, documents and embeddings included. Each run is a
process of its own with a ledger of its own; the sandbox is another process. Medians of several rounds. Beside them
the ratio of a client that only asks and waits: neither machine nor sandbox answers exactly when it should.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from benchmarks import bare_client
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.sandbox.control_client import SandboxControl
from surgical_pipeline.sandbox.sample.build import build_sample

SIZES = (1, 10, 100, 1_000, 10_000)
LATENCIES_MS = (0, 20, 100)
ONCE_FROM = 10_000
BARE_ISSUES = 500
IN_FLIGHT = Budgets().max_requests_in_flight
PROJECT = "acme/rocket"
HEAD = """\
| issues | latency ms | requests | beyond the fewest | seconds | floor s | fetching ÷ floor | whole run ÷ floor \
| ms per issue | peak MB | longest window ms |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"""

Taken = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help=f"issues of a run (default {SIZES})")
    parser.add_argument("--latencies", type=int, nargs="*", default=LATENCIES_MS, help="milliseconds an answer")
    parser.add_argument("--rounds", type=int, default=3, help=f"runs of each; from {ONCE_FROM:,} issues on, one")
    arguments = parser.parse_args()
    iids = existing_issues(max(*arguments.sizes, 20))
    per_issue: dict[tuple[int, int], float] = {}
    with sandbox(issues=len(iids)) as (url, token), SandboxControl(url) as control:
        print(HEAD)
        for size in arguments.sizes:
            for latency in arguments.latencies:
                control.set_latency(latency)
                rounds = 1 if size >= ONCE_FROM else arguments.rounds
                scope = Scope.of(PROJECT, issue_iids=iids[:size])
                runs = [one_sync(scope, url=url, token=token) for _ in range(rounds)]
                taken = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
                per_issue[size, latency] = taken["fetching_seconds"] / size
                print(row(taken, size=size, latency=latency), flush=True)
        for latency in filter(None, arguments.latencies):
            control.set_latency(latency)
            ratios = [bare_ratio(iids, latency=latency, url=url, token=token) for _ in range(arguments.rounds)]
            print(f"a client that only asks and waits ÷ floor, at {latency} ms: {statistics.median(ratios):.2f}")
    for latency in arguments.latencies:
        if {(100, latency), (10_000, latency)} <= per_issue.keys():
            growth = per_issue[10_000, latency] / per_issue[100, latency]
            print(f"fetching an issue of 10,000 to one of 100, at {latency} ms, ratio: {growth:.2f}")


def row(taken: Taken, *, size: int, latency: int) -> str:
    floor = taken["requests"] * latency / 1000 / IN_FLIGHT
    fewest = 1 + math.ceil(size / 100) + 4 * size
    ratios = [f"{taken[name] / floor:.2f}" if floor else "-" for name in ("fetching_seconds", "seconds")]
    cells = [
        f"{size:,}",
        str(latency),
        f"{taken['requests']:,.0f}",
        f"{taken['requests'] - fewest:,.0f}",
        f"{taken['seconds']:.1f}",
        f"{floor:.2f}",
        *ratios,
        f"{taken['fetching_seconds'] / size * 1000:.1f}",
        f"{taken['memory_peak_mb']:.0f}",
        f"{taken['longest_window_ms']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def bare_ratio(iids: Sequence[int], *, latency: int, url: str, token: str) -> float:
    """Of the core dependents of as many of these issues as a sync takes some seconds for."""
    names = ("discussions", "resource_label_events", "resource_state_events", "resource_milestone_events")
    project = f"/api/v4/projects/{quote(PROJECT, safe='')}"
    paths = [f"{project}/issues/{iid}/{name}?per_page=100" for iid in iids[:BARE_ISSUES] for name in names]
    seconds = bare_client.seconds_of(paths, url=url, token=token, at_once=IN_FLIGHT)
    return seconds / (len(paths) * latency / 1000 / IN_FLIGHT)


def one_sync(scope: Scope, *, url: str, token: str) -> Taken:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        environment = os.environ | {
            "DAGSTER_HOME": folder,
            "SURGICAL_LEDGER": str(Path(folder) / "ledger.duckdb"),
            "GITLAB_URL": url,
            "GITLAB_TOKEN": token,
        }
        command = [sys.executable, "-m", "benchmarks.one_sync", str(scope)]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    taken: Taken = json.loads(done.stdout.splitlines()[-1])
    return taken


@contextmanager
def sandbox(*, issues: int, options: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """URL and token of a sandbox in another process, for as long as the block lasts."""
    command = [str(Path(sys.executable).parent / "surgical-pipeline"), "sandbox", "serve", "--port", "0"]
    with subprocess.Popen(
        [*command, "--issues", str(issues), *options], stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            first_line = server.stderr.readline() if server.stderr else ""
            announced = re.search(r"GITLAB_URL=(\S+) GITLAB_TOKEN=(\S+)", first_line)
            if announced is None:
                raise SystemExit("the sandbox did not start")
            yield announced[1], announced[2]
        finally:
            server.terminate()


def existing_issues(number: int) -> list[int]:
    """So many IIDs of the sample: it has gaps, as every project."""
    sample = build_sample(issues=number)
    project_id = next(one.project_id for one in sample.projects.values() if one.path == PROJECT)
    return sorted(iid for project, kind, iid in sample.entities if (project, kind) == (project_id, "issue"))


if __name__ == "__main__":
    main()
