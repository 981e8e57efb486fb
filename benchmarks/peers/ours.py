"""Our side of a comparison: the command that people type, in an installation that has been used before."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb

from benchmarks.peers.environments import BIN, REPOSITORY
from benchmarks.peers.measuring import Taken, measured, must_succeed
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.sandbox.control_client import SandboxControl

PROJECT = "acme/rocket"
SYNC = [str(BIN / "surgical-pipeline"), "sync"]
_GENEROUS = [
    word
    for budget in ("preflight-budget", "entity-timeout", "dependents-budget", "embed-budget")
    for word in (f"--{budget}-seconds", "3600")
]
_FETCHING = "'preflight', 'ingest', 'dependents'"


def scope_of(iids: list[int]) -> str:
    return str(Scope.of(PROJECT, issue_iids=iids))


def settle_in(home: Path, *, url: str, token: str) -> dict[str, str]:
    """Make ``home`` an installation with one sync behind it; gives its environment, which names no ledger yet."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_bytes((REPOSITORY / "dagster.yaml").read_bytes())
    environment = {"DAGSTER_HOME": str(home), "GITLAB_URL": url, "GITLAB_TOKEN": token}
    first = {**environment, "SURGICAL_LEDGER": str(home / "first.duckdb")}
    must_succeed(measured([*SYNC, f"{PROJECT}#12", "--json"], cwd=home, environment=first), "the first sync")
    return environment


def sync(
    iids: list[int],
    ledger: Path,
    *,
    environment: Mapping[str, str],
    control: SandboxControl,
    budgets: bool = True,
) -> Taken:
    """The whole command. ``told``: its result, with ``seconds`` of the run and of the stages that fetch.

    ``budgets``: so long that none runs out; else those that people have.
    """
    taken = measured(
        [*SYNC, scope_of(iids), "--json", *(_GENEROUS if budgets else [])],
        cwd=Path(environment["DAGSTER_HOME"]),
        environment={**environment, "SURGICAL_LEDGER": str(ledger)},
        control=control,
    )
    result = json.loads(taken.stdout) if taken.stdout.startswith("{") else {}
    if not result.get("run_id"):
        return taken
    with duckdb.connect(str(ledger), read_only=True) as connection:
        ((fetching,),) = connection.execute(
            "SELECT SUM(epoch(finished_at - started_at)) FROM sync_run_phases "
            f"WHERE run_id = $run_id AND phase IN ({_FETCHING})",
            {"run_id": result["run_id"]},
        ).fetchall()
    told = {"result": result, "seconds": (result["duration_ms"] or 0) / 1000, "fetching_seconds": fetching or 0.0}
    return replace(taken, told=told)
