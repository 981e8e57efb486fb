"""Ctrl+C and SIGTERM to `sync` at random moments: the process, the ledger and Dagster must tell one story."""

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg

from surgical_pipeline.ledger.runs import RunSummary, list_runs
from surgical_pipeline_tests.soak.cancellations import start_sync
from surgical_pipeline_tests.soak.installation import Installation

SCOPE = "acme/rocket#12-20!34+35"
LIMIT_SECONDS = 60


@dataclass
class InterruptReport:
    """``endings``: of all runs, by what ledger, Dagster and exit code say; ``wrong``: what may not be."""

    interrupts: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def interrupt_syncs(
    installation: Installation,
    *,
    interrupts: int,
    seed: int,
    on_interrupt: Callable[[InterruptReport], None] = lambda _report: None,
) -> InterruptReport:
    """Interrupt so many syncs, each at a moment drawn evenly from a sync's whole life."""
    chance = random.Random(seed)
    began = time.monotonic()
    _sync(installation, after_seconds=None)
    whole_seconds = time.monotonic() - began
    report = InterruptReport()
    with dg.DagsterInstance.from_config(str(installation.home)) as instance:
        seen = {run.run_id for run in instance.get_runs()}
        for _ in range(interrupts):
            number = chance.choice([signal.SIGINT, signal.SIGTERM])
            code = _sync(installation, after_seconds=chance.uniform(0, whole_seconds), number=number)
            report.interrupts += 1
            if code is None:
                report.wrong.append(f"still there {LIMIT_SECONDS} s after {number.name}")
            for run in [one for one in instance.get_runs(limit=10) if one.run_id not in seen]:
                seen.add(run.run_id)
                _judge(report, run, row=_row(installation, run.run_id), code=code)
            on_interrupt(report)
    report.wrong += installation.violations()
    return report


def _sync(
    installation: Installation, *, after_seconds: float | None, number: signal.Signals = signal.SIGINT
) -> int | None:
    """Its exit code; None: it had to be killed."""
    with start_sync(installation, SCOPE) as process:
        if after_seconds is not None:
            time.sleep(after_seconds)
            process.send_signal(number)
        try:
            return process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return None


def _row(installation: Installation, run_id: str) -> RunSummary | None:
    with installation.ledger.read() as tx:
        return next((one for one in list_runs(tx, limit=10) if one.run_id == run_id), None)


def _judge(report: InterruptReport, run: dg.DagsterRun, *, row: RunSummary | None, code: int | None) -> None:
    """Cancelled on both sides; or what it had become, if the signal came after its last window.

    After that window Dagster may not have been told yet, and a process that ends dies of a signal.
    """
    status = str(row.status) if row else "no row"
    ending = f"{status}, in Dagster {run.status.value}, exit code {code}"
    report.endings[ending] += 1
    if status == "cancelled":
        good = run.status is dg.DagsterRunStatus.CANCELED and code == 130
    else:
        good = status == "succeeded" and run.is_finished and code in (0, 130, -signal.SIGINT, -signal.SIGTERM)
    if not good:
        report.wrong.append(f"run {run.run_id}: {ending}, {row.failure_code if row else None}")
