"""Several runs with one token against a GitLab that enforces its limit: who is refused, who waits, how long?

`python -m benchmarks.politeness [--limit 2000] [--issues 500] [--after 10]`: two backfills of so many issues and,
some seconds later, a person's sync of five, each a process of its own. Once with one ledger, and so within the
limit together, where the person's requests go first; and once with a ledger each, so that each process keeps to
itself, to see what sharing is worth. Before, the person's sync alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.fetching import PROJECT, existing_issues, sandbox
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.sandbox.control_client import SandboxControl

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
PERSONS = 5
LATENCY_MS = 20
NAMES = ("backfill", "backfill", "person's sync")


@dataclass(frozen=True, slots=True)
class Ended:
    """One of them. ``seconds``: from the start of its process to its end; ``fetching``: of its stages that ask."""

    seconds: float
    fetching: float
    status: str
    requests: int
    refused: int
    failures: dict[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, default=2000, help="requests a minute")
    parser.add_argument("--issues", type=int, default=500, help="of each of the two backfills")
    parser.add_argument("--after", type=float, default=10, help="seconds until the person comes")
    wanted = parser.parse_args()
    iids = existing_issues(2 * wanted.issues + PERSONS)
    scopes = [
        Scope.of(PROJECT, issue_iids=iids[: wanted.issues]),
        Scope.of(PROJECT, issue_iids=iids[wanted.issues : 2 * wanted.issues]),
        Scope.of(PROJECT, issue_iids=iids[-PERSONS:]),
    ]
    for title, shared, chosen in (
        ("the person alone", True, scopes[-1:]),
        ("one limit for all", True, scopes),
        ("each process by itself", False, scopes),
    ):
        options = ("--rate-limit", str(wanted.limit))
        with (
            tempfile.TemporaryDirectory() as folder,
            sandbox(issues=len(iids), options=options) as (url, token),
            SandboxControl(url) as control,
        ):
            control.set_latency(LATENCY_MS)
            environment = os.environ | {"GITLAB_URL": url, "GITLAB_TOKEN": token}
            ended = together(Path(folder), chosen, environment=environment, shared=shared, after=wanted.after)
            report(title, ended)


def together(
    folder: Path, scopes: Sequence[Scope], *, environment: dict[str, str], shared: bool, after: float
) -> list[Ended]:
    """The last one is a person's sync, the others are backfills."""
    children = []
    for number, scope in enumerate(scopes):
        home = folder / ("all" if shared else str(number))
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        person = number == len(scopes) - 1
        if person and number:
            time.sleep(after)
        children.append(Child(home, scope, environment=environment, person=person))
    return [child.ended() for child in reversed(children)][::-1]


class Child:
    """A process that syncs, and then what its ledger says of it."""

    def __init__(self, home: Path, scope: Scope, *, environment: dict[str, str], person: bool) -> None:
        self._ledger = home / "ledger.duckdb"
        self._person = person
        command = ["sync", str(scope)]
        if not person:
            listed = home / f"{scope.issue_iids[0]}.txt"
            listed.write_text(str(scope), encoding="utf-8")
            command = ["backfill", "--from-file", str(listed), "--chunk", "1000", "--local"]
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [PROGRAM, *command, "--json"],
            env=environment | {"DAGSTER_HOME": str(home), "SURGICAL_LEDGER": str(self._ledger)},
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ended(self) -> Ended:
        output, _ = self._process.communicate()
        seconds = time.monotonic() - self._began
        result = json.loads(output)
        if self._person:
            status, chosen = result["completion_status"], [result["run_id"]]
        else:
            status, chosen = result["status"]["state"], runs_of(self._ledger, result["plan"]["chunks"])
        return Ended(seconds=seconds, status=status, **figures(self._ledger, chosen))


def runs_of(ledger: Path, chunks: Sequence[str]) -> list[str]:
    rows = asked(ledger, "SELECT run_id FROM sync_runs WHERE scope = ANY($given)", chunks)
    return [str(run_id) for (run_id,) in rows]


def figures(ledger: Path, runs: Sequence[str]) -> dict[str, Any]:
    ((requests, refused),) = asked(
        ledger,
        "SELECT sum(http_requests), sum(http_rate_limited) FROM sync_runs WHERE run_id = ANY($given)",
        runs,
    )
    failures = asked(
        ledger, "SELECT code, count(*) FROM entity_failures WHERE run_id = ANY($given) GROUP BY 1", runs
    )
    ((fetching,),) = asked(
        ledger,
        "SELECT sum(epoch(finished_at - started_at)) FROM sync_run_phases "
        "WHERE run_id = ANY($given) AND phase IN ('preflight', 'ingest', 'dependents')",
        runs,
    )
    return {
        "fetching": float(fetching),
        "requests": int(requests),
        "refused": int(refused),
        "failures": dict(failures),
    }


def asked(ledger: Path, query: str, given: Sequence[str]) -> list[tuple[Any, ...]]:
    while True:
        try:
            with duckdb.connect(str(ledger), read_only=True) as connection:
                return connection.execute(query, {"given": list(given)}).fetchall()
        except duckdb.IOException:  # the others are still at work, and have it for a moment
            time.sleep(0.01)


def report(title: str, ended: Sequence[Ended]) -> None:
    print(title)
    for name, one in zip(NAMES[-len(ended) :], ended, strict=True):
        print(
            f"  {name:13} {one.seconds:6.1f} s, fetching {one.fetching:6.1f} s  {one.status:24} "
            f"{one.requests:6,} requests, {one.refused} refused; failures {one.failures or 'none'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
