"""One sync in a process of its own, so that its memory is its own: prints what it took as a line of JSON.

`python -m benchmarks.one_sync SCOPE` with the environment of a sync. Called by `benchmarks.fetching`.
"""

import json
import resource
import sys
from pathlib import Path

import duckdb

from surgical_pipeline.defs.launch import launch
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.settings import Settings

GENEROUS = Budgets(
    preflight_budget_seconds=3600,
    entity_timeout_seconds=3600,
    dependents_budget_seconds=3600,
    embed_budget_seconds=3600,
)


def main() -> None:
    path = Settings.from_environment().ledger_path
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ledger = DuckDBLedger(path)
    run_id = launch(Scope.parse(sys.argv[1]), budgets=GENEROUS, dependents=CORE_DEPENDENTS, ledger=ledger)
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    if result is None or result.completion_status != "succeeded":
        raise SystemExit(f"the run did not succeed: {result}")
    taken = {
        "requests": result.http.requests,
        "seconds": (result.duration_ms or 0) / 1000,
        "fetching_seconds": seconds_in(path, run_id, "preflight", "ingest", "dependents"),
        "memory_before_mb": before / 1024,
        "memory_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "longest_window_ms": result.lock.longest_held_ms,
    }
    sys.stdout.write(json.dumps(taken) + "\n")


def seconds_in(path: Path, run_id: str, *phases: str) -> float:
    with duckdb.connect(str(path), read_only=True) as connection:
        ((seconds,),) = connection.execute(
            "SELECT SUM(epoch(finished_at - started_at)) FROM sync_run_phases "
            "WHERE run_id = $run_id AND phase IN (SELECT unnest($phases))",
            {"run_id": run_id, "phases": list(phases)},
        ).fetchall()
    return float(seconds)


if __name__ == "__main__":
    main()
