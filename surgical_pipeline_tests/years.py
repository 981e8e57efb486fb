"""A DAGSTER_HOME in which much happened long ago, for tests of what becomes of it."""

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_home import move_in, run_job
from surgical_pipeline_tests.ledger_gate import rows
from surgical_pipeline_tests.many_runs import multiply

OLD = timedelta(days=40)
SCOPES = ("acme/rocket#12", "acme/rocket#13!34", "acme/rocket#14")


@dataclass(frozen=True)
class Years:
    """A home with ``old`` runs, copies of real ones, and ``young`` ones; half of these came after the copies."""

    home: Path
    old: list[str]
    young: list[str]

    @property
    def ledger(self) -> DuckDBLedger:
        return DuckDBLedger(self.home / "ledger.duckdb")

    def copied_to(self, home: Path) -> "Years":
        shutil.copytree(self.home, home, dirs_exist_ok=True)
        return Years(home, self.old, self.young)

    def in_dagster(self) -> set[str]:
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return {run.run_id for run in instance.get_runs()}

    def in_ledger(self) -> set[str]:
        return set(rows(self.home / "ledger.duckdb"))

    def with_files(self) -> set[str]:
        """Runs that have any."""
        places = [*(self.home / "history" / "runs").glob("*.db*"), *(self.home / "storage").glob("*")]
        return {path.name.partition(".")[0] for path in places} - {"index", ""}


def make_years(home: Path, sandbox: RunningSandbox, *, copies: int) -> Years:
    """Three syncs, so many copies of them that are older by ``OLD``, and the same three syncs once more."""
    sandbox.control.reset()
    with pytest.MonkeyPatch.context() as monkeypatch:
        move_in(home, sandbox, monkeypatch=monkeypatch)
        ledger = DuckDBLedger(home / "ledger.duckdb")
        first = [_synced(ledger, scope) for scope in SCOPES]
        old = multiply(home, first, count=copies, older_by=OLD)
        last = [_synced(ledger, scope) for scope in SCOPES]
    return Years(home, old, [*first, *last])


def _synced(ledger: DuckDBLedger, scope: str) -> str:
    result = run_job(ledger, scope)
    assert result.completion_status == "succeeded", result
    return result.run_id
