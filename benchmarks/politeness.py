"""Several runs with one token against a GitLab that enforces its limit: who is refused, and what does it cost?

`python -m benchmarks.politeness [--limit 2000] [--issues 500]`: two syncs of so many issues and, ten seconds
later, a person's sync of five, each a process of its own. Once with one ledger, and so within the limit together;
and once with a ledger each, so that each process keeps to itself, to see what sharing is worth.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.fetching import PROJECT, existing_issues, sandbox
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.sandbox.control_client import SandboxControl

PERSONS = 5
PERSON_AFTER_SECONDS = 10
LATENCY_MS = 20


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--limit", type=int, default=2000, help="requests a minute")
    arguments.add_argument("--issues", type=int, default=500, help="of each of the two long syncs")
    wanted = arguments.parse_args()
    iids = existing_issues(2 * wanted.issues + PERSONS)
    scopes = [
        Scope.of(PROJECT, issue_iids=iids[: wanted.issues]),
        Scope.of(PROJECT, issue_iids=iids[wanted.issues : 2 * wanted.issues]),
        Scope.of(PROJECT, issue_iids=iids[-PERSONS:]),
    ]
    for shared in (True, False):
        options = ("--rate-limit", str(wanted.limit))
        with (
            tempfile.TemporaryDirectory() as folder,
            sandbox(issues=len(iids), options=options) as (url, token),
            SandboxControl(url) as control,
        ):
            control.set_latency(LATENCY_MS)
            environment = {"GITLAB_URL": url, "GITLAB_TOKEN": token}
            report(three(Path(folder), scopes, environment=environment, shared=shared), shared=shared)


def three(
    folder: Path, scopes: Sequence[Scope], *, environment: dict[str, str], shared: bool
) -> list[tuple[float, dict[str, Any]]]:
    """Seconds and result of each sync."""
    children = []
    for number, scope in enumerate(scopes):
        home = folder / ("all" if shared else str(number))
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        if number == len(scopes) - 1:
            time.sleep(PERSON_AFTER_SECONDS)
        own = {"DAGSTER_HOME": str(home), "SURGICAL_LEDGER": str(home / "ledger.duckdb")}
        command = [str(Path(sys.executable).parent / "surgical-pipeline"), "sync", str(scope), "--json"]
        command += ["--dependents-budget-seconds", "3600"]
        process = subprocess.Popen(
            command,
            env=os.environ | environment | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        children.append((process, time.monotonic()))
    ended = []
    for process, began in reversed(children):
        output, _ = process.communicate()
        ended.append((time.monotonic() - began, json.loads(output)))
    return ended[::-1]


def report(ended: Sequence[tuple[float, dict[str, Any]]], *, shared: bool) -> None:
    print(f"{'one limit for all' if shared else 'each process by itself'}")
    for name, (seconds, result) in zip(("first", "second", "person's"), ended, strict=True):
        codes = Counter(one["code"] for one in result["entity_failures"])
        http = result["http"]
        print(
            f"  {name:9} {seconds:6.1f} s  {result['completion_status']:24} {http['requests']:6,} requests, "
            f"{http['rate_limited']} refused; failures {dict(codes) or 'none'}"
        )


if __name__ == "__main__":
    main()
