"""What it costs to look at issues that did not change: a sync of them, then the same with only_changed.

`python -m benchmarks.sweep [--issues 1000] [--latency 20]`: both in this process, on one new ledger; the sandbox
is another process. Requests, seconds of each stage, processor time, and the figure for 10,000.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.fetching import PROJECT, existing_issues, sandbox
from benchmarks.one_sync import GENEROUS
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.lifecycle import STAGES
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.control_client import SandboxControl

WHOLE = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--issues", type=int, default=1000)
    parser.add_argument("--latency", type=int, default=20, help="milliseconds an answer (default 20)")
    arguments = parser.parse_args()
    iids = existing_issues(arguments.issues)
    scope = Scope.of(PROJECT, issue_iids=iids)
    with (
        sandbox(issues=arguments.issues) as (url, token),
        tempfile.TemporaryDirectory() as folder,
        SandboxControl(url) as control,
    ):
        path = Path(folder, "ledger.duckdb")
        os.environ |= {
            "DAGSTER_HOME": folder,
            "SURGICAL_LEDGER": str(path),
            "GITLAB_URL": url,
            "GITLAB_TOKEN": token,
        }
        Path(folder, "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        control.set_latency(arguments.latency)
        print(
            f"| of {len(scope):,} issues | requests | seconds | {' | '.join(STAGES)} | processor s | lock held s |"
        )
        print(f"|---|---:|---:|{'---:|' * len(STAGES)}---:|---:|")
        measured(path, scope, name="everything", only_changed=False)
        result = measured(path, scope, name="only_changed", only_changed=True)
        same = sum(one.unchanged for one in result.entity_outcomes)
        print(f"unchanged: {same:,}; requests for {WHOLE:,}: {result.http.requests * WHOLE / len(scope):,.0f}")


def measured(path: Path, scope: Scope, *, name: str, only_changed: bool) -> SyncResult:
    from surgical_pipeline.defs.launch import launched, run_config  # noqa: PLC0415  DAGSTER_HOME must be set first

    config = run_config(
        scope, budgets=GENEROUS, dependents=CORE_DEPENDENTS, log_level="CRITICAL", only_changed=only_changed
    )
    began = time.process_time()
    with launched(config, ledger=DuckDBLedger(path)) as run:
        run.execute()
        result = run.result()
    processor = time.process_time() - began
    if result.completion_status != "succeeded":
        raise SystemExit(f"the run did not succeed: {result}")
    stages = [f"{seconds:.2f}" for seconds in seconds_by_stage(path, result.run_id)]
    print(
        f"| {name} | {result.http.requests:,} | {(result.duration_ms or 0) / 1000:.2f} | {' | '.join(stages)} "
        f"| {processor:.2f} | {result.lock.held_ms / 1000:.2f} |",
        flush=True,
    )
    return result


def seconds_by_stage(path: Path, run_id: str) -> list[float]:
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "SELECT phase, epoch(finished_at - started_at) FROM sync_run_phases WHERE run_id = $run_id",
            {"run_id": run_id},
        ).fetchall()
    taken = dict(rows)
    return [float(taken[str(stage)]) for stage in STAGES]


if __name__ == "__main__":
    main()
