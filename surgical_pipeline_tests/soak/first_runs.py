"""Many processes at once on a DAGSTER_HOME or a ledger that nobody has used yet, or on a ledger to be migrated."""

from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import list_runs, load_result
from surgical_pipeline_tests.soak.child import context, sync_once
from surgical_pipeline_tests.soak.installation import Installation

LIMIT_SECONDS = 300
SCOPE = "acme/rocket#12"


def _newer(path: Path) -> DuckDBLedger:
    """The ledger as a program sees it that is two versions ahead of ours."""
    ours = sql.migrations()
    later = tuple(
        sql.Migration(
            version=len(ours) + number, name=f"later_{number}", text=f"CREATE TABLE later_{number} (a INT);"
        )
        for number in (1, 2)
    )
    return DuckDBLedger(path, migrations=(*ours, *later))


def first_syncs(installation: Installation, *, processes: int, rounds: int) -> list[str]:
    """So many syncs at once, each round on a new DAGSTER_HOME; gives what went wrong."""
    wrong = []
    for number in range(rounds):
        home = installation.home / f"home-{number}"
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
        fresh = replace(
            installation, home=home, environment=installation.environment | {"DAGSTER_HOME": str(home)}
        )
        server = context()
        barrier = server.Barrier(processes)
        children = [
            server.Process(target=_sync_with_all, args=(barrier, home, fresh.environment))
            for _ in range(processes)
        ]
        for child in children:
            child.start()
        for child in children:
            child.join(LIMIT_SECONDS)
            child.kill()
        wrong += [f"round {number}: a sync ended with {one.exitcode}" for one in children if one.exitcode != 0]
        wrong += [f"round {number}: {one}" for one in fresh.violations()]
        with fresh.ledger.read() as tx:
            runs = list_runs(tx, limit=1000)
            results = [load_result(tx, run.run_id) for run in runs]
        wrong += [f"round {number}: {told}" for told in map(_told, results) if told]
        if len(runs) != processes or len({run.dagster_instance for run in runs}) != 1:
            wrong.append(f"round {number}: {len(runs)} rows of {processes}, by {runs}")
    return wrong


def first_writes(path: Path, *, processes: int, old: bool) -> list[str]:
    """So many first windows at once on a ledger that is not there, or ``old``: made by an older program."""
    if old:
        _start_run(DuckDBLedger(path), "before")
    server = context()
    barrier = server.Barrier(processes)
    names = [f"run-{number}" for number in range(processes)]
    children = [server.Process(target=_write_with_all, args=(barrier, path, name)) for name in names]
    for child in children:
        child.start()
    for child in children:
        child.join(LIMIT_SECONDS)
        child.kill()
    wrong = [
        f"{name} ended with {one.exitcode}" for name, one in zip(names, children, strict=True) if one.exitcode
    ]
    with _newer(path).read() as tx:
        there = {run.run_id for run in list_runs(tx, limit=1000)}
        versions = [row[0] for row in tx._connection.execute("SELECT version FROM schema_migrations").fetchall()]
    wrong += [f"{name} is not in the ledger" for name in {*names, *(["before"] if old else [])} - there]
    if sorted(versions) != list(range(1, len(sql.migrations()) + 3)):
        wrong.append(f"the migrations on record are {versions}")
    return wrong


def _told(result: SyncResult | None) -> str | None:
    """What went wrong in a run; None if nothing did."""
    if result is None or result.completion_status == "succeeded":
        return None
    causes = [f"{one.code} in {one.stage}: {one.message}" for one in result.entity_failures]
    return f"{result.completion_status} ({result.error or '; '.join(causes)})"


def _sync_with_all(barrier: Barrier, home: Path, environment: dict[str, str]) -> None:
    barrier.wait(LIMIT_SECONDS)
    sync_once(home, environment, SCOPE)


def _write_with_all(barrier: Barrier, path: Path, run_id: str) -> None:
    barrier.wait(LIMIT_SECONDS)
    _start_run(_newer(path), run_id)


def _start_run(ledger: DuckDBLedger, run_id: str) -> None:
    SyncRunRecorder(ledger, run_id).start_surgical(Scope.parse(SCOPE), mode=RunMode.SURGICAL, trigger=Trigger.CLI)
