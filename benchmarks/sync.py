"""Requests, seconds and lock time of a sync against the sandbox; figures as ratios where it matters.

100 issues with core dependents in this process, several times, and the command line for one
issue beside `dagster job execute` of an empty job of five ops.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox

ROUNDS = 5
EMPTY_JOB = """
import dagster as dg

@dg.op
def one(): return 1

@dg.op
def step(before: int) -> int: return before

@dg.job(executor_def=dg.in_process_executor)
def empty():
    step.alias("five")(step.alias("four")(step.alias("three")(step.alias("two")(one()))))

defs = dg.Definitions(jobs=[empty])
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, RunningSandbox(build_sample(issues=150)) as sandbox:
        os.environ |= {
            "DAGSTER_HOME": folder,
            "SURGICAL_LEDGER": f"{folder}/ledger.duckdb",
            "GITLAB_URL": sandbox.url,
            "GITLAB_TOKEN": sandbox.token,
        }
        Path(folder, "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        hundred_issues(Path(folder))
        command_line(Path(folder))


def hundred_issues(home: Path) -> None:
    """Each round into a ledger of its own, so that every round writes, renders and embeds everything."""
    scope = Scope.of("acme/rocket", issue_iids=existing_issues())
    results = [run(scope, home / f"round{number}.duckdb") for number in range(ROUNDS)]
    seconds = [(result.duration_ms or 0) / 1000 for result in results]
    held = [result.lock.held_ms / (result.duration_ms or 1) for result in results]
    print(f"issues synced with core dependents       {len(scope)}")
    print(f"requests (floor {1 + 1 + 4 * len(scope)})                     {results[0].http.requests}")
    print(f"seconds, median of {ROUNDS}                     {statistics.median(seconds):.2f}")
    longest = statistics.median(result.lock.longest_held_ms for result in results)
    print(f"longest lock window, median, ms          {longest:.0f}")
    print(f"share of the run under the lock, median  {statistics.median(held):.2f}")


def existing_issues() -> list[int]:
    """The first hundred IIDs of the sample: it has gaps, as every project."""
    sample = build_sample(issues=150)
    project_id = next(one.project_id for one in sample.projects.values() if one.path == "acme/rocket")
    return sorted(iid for project, kind, iid in sample.entities if (project, kind) == (project_id, "issue"))[:100]


def run(scope: Scope, path: Path) -> SyncResult:
    from surgical_pipeline.defs.launch import launch  # noqa: PLC0415  DAGSTER_HOME must be set first

    os.environ["SURGICAL_LEDGER"] = str(path)
    ledger = DuckDBLedger(path)
    run_id = launch(scope, budgets=Budgets(), dependents=CORE_DEPENDENTS, ledger=ledger)
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    if result is None or result.completion_status != "succeeded":
        raise SystemExit(f"the run did not succeed: {result}")
    return result


def command_line(home: Path) -> None:
    """Whole processes in turn, so that a machine whose speed drifts is the same for both."""
    (home / "empty_job.py").write_text(EMPTY_JOB, encoding="utf-8")
    os.environ["SURGICAL_LEDGER"] = str(home / "ledger.duckdb")
    binaries = Path(sys.executable).parent
    sync = [str(binaries / "surgical-pipeline"), "sync", "acme/rocket#12", "--json"]
    empty = [str(binaries / "dagster"), "job", "execute", "-f", str(home / "empty_job.py"), "-j", "empty"]
    pairs = [(timed(sync, home), timed(empty, home)) for _ in range(ROUNDS)]
    print(f"`sync` of one issue, median s            {statistics.median(ours for ours, _ in pairs):.2f}")
    print(f"`dagster job execute`, empty, median s   {statistics.median(theirs for _, theirs in pairs):.2f}")
    print(f"ratio, median of pairs                   {statistics.median(a / b for a, b in pairs):.2f}")


def timed(command: list[str], home: Path) -> float:
    started = time.monotonic()
    # As people have it: with this set, each process would compile our modules anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, cwd=home, env=environment, check=True, capture_output=True)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
