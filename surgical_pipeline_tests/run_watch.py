"""Waiting for what a run does in a process of its own: its requests, its rows, its ending."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import RUN_LIMIT_SECONDS, wait_until
from surgical_pipeline_tests.ledger_gate import Row, rows

FOR_EVER_MS = 600_000
LIST = "/merge_requests"
SLOW_LIST: dict[str, Any] = {"path": f"*{LIST}", "delay_ms": 5_000}
"""A fault of preflight's list: while it is on its way, a test takes the lock for which ingest will ask."""
TICKS_SECONDS = 30
"""Several ticks of the mirror, on a slow machine."""


def wait_for_request(
    sandbox: RunningSandbox,
    path: str,
    *,
    answered: int | None = None,
    limit_seconds: float = RUN_LIMIT_SECONDS,
) -> None:
    """Until such a request is on its way, or has been answered with that status."""

    def there() -> bool:
        found = [one for one in sandbox.control.requests().requests if path in one.path]
        if answered is None:
            return any(one.duration_ms is None for one in found)
        return any(one.status == answered for one in found)

    wait_until(there, limit_seconds=limit_seconds, what=f"a request for {path}")


def wait_for_ending(ledger: Path, run_id: str) -> Row:
    """Until the row has an ending."""

    def ended() -> Row | None:
        row = rows(ledger).get(run_id)
        return row if row and row.finished_at else None

    return wait_until(ended, limit_seconds=TICKS_SECONDS, what=f"the row of run {run_id} has its ending")


def result_of(ledger: Path, run_id: str) -> SyncResult:
    with DuckDBLedger(ledger).read() as tx:
        result = load_result(tx, run_id)
    assert result is not None
    return result


def assert_whole(ledger: Path) -> None:
    """Nobody has the lock, and every invariant of the ledger holds."""
    with DuckDBLedger(ledger, lock_timeout_seconds=5).write("at once"):
        pass
    with DuckDBLedger(ledger).read() as tx:
        assert check(tx).violations == ()


def running_in(run_id: str, phase: str) -> Callable[[Row], bool]:
    return lambda row: row.run_id == run_id and row.status == "running" and row.phase == phase


def came_through(result: SyncResult) -> bool:
    """Whether the run brought everything up to date.

    The ledger of the shared `dagster dev` remembers what earlier tests edited, and the sandbox has gone back to
    its sample since: an ``updated_at`` that went back is a warning, and rightly so.
    """
    warnings = [warning.message for one in result.entity_outcomes for warning in one.warnings]
    clean = result.completion_status == ("succeeded_with_warnings" if warnings else "succeeded")
    return clean and not result.entity_failures and all("went back" in warning for warning in warnings)
