"""kill -9 of a syncing process at random moments; after each, the ledger must be whole, the next sync complete."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.ledger.runs import RunSummary, list_runs
from surgical_pipeline_tests.soak.child import context, start
from surgical_pipeline_tests.soak.installation import Installation

SCOPE = "acme/rocket#1-30!34+35"
LIMIT_SECONDS = 120
_UNEMBEDDED = """
SELECT document_id FROM documents WHERE deleted_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM embeddings WHERE embeddings.document_id = documents.document_id
    AND embeddings.content_hash = documents.content_hash)
"""


@dataclass
class KillReport:
    """``phases``: where the kill met the run; ``reaped_seconds``: from the kill to the row's ending."""

    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    reaped_seconds: list[float] = field(default_factory=list)


def kill_syncs(
    installation: Installation,
    *,
    kills: int,
    seed: int,
    on_kill: Callable[[KillReport], None] = lambda _report: None,
) -> KillReport:
    """Kill so many syncs, each at a moment drawn evenly from a sync's whole life; ``on_kill`` after each."""
    server, dice, report = context(), random.Random(seed), KillReport()
    home, environment = installation.home, installation.environment
    for _ in range(2):  # the first one waits for the server's imports, and its life would be too long
        started = time.monotonic()
        start(server, home, environment, SCOPE).join(LIMIT_SECONDS)
        life = time.monotonic() - started
    iids = [iid for iid in range(1, 31) if iid in _existing(installation)]
    scope = f"acme/rocket#{'+'.join(map(str, iids))}!34+35"
    for number in range(kills):
        _change_something(installation, dice.choice(iids), number)
        process = start(server, home, environment, scope)
        process.join(dice.uniform(0, life))
        process.kill()
        process.join(LIMIT_SECONDS)
        killed_at = time.time()
        victim = _latest(installation)
        report.kills += 1
        report.phases[_phase(victim)] += 1
        report.violations += [f"after kill {number}: {one}" for one in installation.violations()]
        again = start(server, home, environment, scope)
        again.join(LIMIT_SECONDS)
        if again.exitcode != 0:
            report.violations.append(f"the sync after kill {number} ended with {again.exitcode}")
            again.kill()
        report.violations += [f"after the sync after kill {number}: {one}" for one in _aftermath(installation)]
        ended = _ending(installation, victim)
        if ended is not None:
            report.reaped_seconds.append(ended - killed_at)
        on_kill(report)
    return report


def _change_something(installation: Installation, iid: int, number: int) -> None:
    """So that each sync has rows, documents and vectors to write."""
    installation.sandbox.control.add_note(iid, f"Kill number {number} is near, says the telemetry.")
    installation.sandbox.control.update_issue(iid, title=f"Telemetry before kill {number}")


def _existing(installation: Installation) -> set[int]:
    with installation.ledger.read() as tx:
        rows = tx._connection.execute("SELECT iid FROM issues WHERE deleted_at IS NULL").fetchall()
    return {iid for (iid,) in rows}


def _latest(installation: Installation) -> RunSummary | None:
    if not installation.ledger.exists:
        return None
    with installation.ledger.read() as tx:
        runs = list_runs(tx, limit=1)
    return runs[0] if runs and runs[0].status is RunStatus.RUNNING else None


def _phase(victim: RunSummary | None) -> str:
    return "before or after its run" if victim is None else str(victim.phase)


def _ending(installation: Installation, victim: RunSummary | None) -> float | None:
    if victim is None:
        return None
    with installation.ledger.read() as tx:
        (row,) = tx.rows("load_run", run_id=victim.run_id)
    return row["finished_at"].timestamp() if row["finished_at"] else None


def _aftermath(installation: Installation) -> list[str]:
    """Broken invariants, runs that are still open though nothing runs, documents without their vector."""
    found = installation.violations()
    with installation.ledger.read() as tx:
        found += [
            f"run {run.run_id} is still {run.status}"
            for run in list_runs(tx, limit=1000)
            if not run.status.terminal
        ]
        found += [f"{row[0]} has no vector" for row in tx._connection.execute(_UNEMBEDDED).fetchall()]
    return found
