"""A DAGSTER_HOME of its own for tests in this process, and the real job run there."""

import os
from pathlib import Path

import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.published_schemas import check_document

OURS = ("SURGICAL_", "GITLAB_", "DAGSTER_")
_SETTINGS = "telemetry:\n  enabled: false\n"


def prepare(home: Path) -> None:
    """Settings, and the databases that Dagster makes at first use: copying them is quicker by half a second."""
    import dagster as dg  # noqa: PLC0415  most tests do not need Dagster

    (home / "dagster.yaml").write_text(_SETTINGS, encoding="utf-8")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs_count()
        instance.get_asset_keys()
        instance.all_instigator_state()


def move_in(home: Path, sandbox: RunningSandbox, *, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the environment at the home, which gets Dagster's settings, and at the sandbox; the rest is unset."""
    (home / "dagster.yaml").write_text(_SETTINGS, encoding="utf-8")
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("GITLAB_URL", sandbox.url)
    monkeypatch.setenv("GITLAB_TOKEN", sandbox.token)


def run_job(
    ledger: Ledger,
    scope: str,
    *,
    budgets: Budgets | None = None,
    dependents: tuple[Dependent, ...] = CORE_DEPENDENTS,
) -> SyncResult:
    """The real job over a scope text, in this process and its environment; gives what the ledger says of it."""
    from surgical_pipeline.defs.launch import launch  # noqa: PLC0415  most tests do not need Dagster

    run_id = launch(Scope.parse(scope), budgets=budgets or Budgets(), dependents=dependents, ledger=ledger)
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    assert result is not None
    check_document("sync-result.schema.json", result.model_dump(mode="json"))
    return result
