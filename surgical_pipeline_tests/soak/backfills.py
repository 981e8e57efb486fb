"""kill -9 of daemon and runs in the middle of a backfill, GitLab away; resumed, each entity is done once."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from surgical_pipeline.defs.backfill_records import daemon_runs
from surgical_pipeline.domain.backfill import named_scope
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import OURS, PROGRAM
from surgical_pipeline_tests.dagster_dev import DagsterDev, kill_tree, running_dagster_dev, wait_until
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.ledger_gate import rows

LIMIT_SECONDS = 300
PROJECT = "acme/rocket"
LATENCY_MS = 200
"""So that a run is still going on when it is killed."""
MAX_RESUMPTIONS = 5


@dataclass
class BackfillReport:
    """``violations``: what is not as it should be in the end."""

    kills: int = 0
    resumptions: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def kill_backfill(
    home: Path,
    *,
    issues: str,
    chunk: int,
    kills: int,
    on_kill: Callable[[BackfillReport], None] = lambda _report: None,
) -> BackfillReport:
    """Launch one, kill Dagster so often in the middle of a run, then resume until nothing is left."""
    report = BackfillReport()
    with RunningSandbox() as sandbox:
        sandbox.control.set_latency(LATENCY_MS)
        backfill = _Backfill(home, sandbox)
        for number in range(kills):
            with backfill.dagster() as dev:
                if not number:
                    backfill.launch(PROJECT, "--issues", issues, "--chunk", str(chunk))
                backfill.wait_for_a_run()
                sandbox.control.add_fault("*", drop="before_headers")
                kill_tree(dev.process)
            sandbox.control.clear_faults()
            report.kills += 1
            on_kill(report)
        sandbox.control.set_latency(0)
        with backfill.dagster():
            report.resumptions = backfill.resume_to_the_end()
        report.runs = Counter(row.status for row in rows(backfill.ledger).values())
        report.violations = backfill.violations(len(named_scope(PROJECT, issues=issues)))
    return report


class _Backfill:
    def __init__(self, home: Path, sandbox: RunningSandbox) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self.home = home
        self.ledger = home / "ledger.duckdb"
        self.own = {"GITLAB_URL": sandbox.url, "GITLAB_TOKEN": sandbox.token, "SURGICAL_LEDGER": str(self.ledger)}
        self.environment = inherited | self.own | {"DAGSTER_HOME": str(home)}
        self.id = ""

    @contextmanager
    def dagster(self) -> Iterator[DagsterDev]:
        with running_dagster_dev(self.home, self.own) as running:
            wait_until(
                lambda: self._daemon_is_there() or None, limit_seconds=LIMIT_SECONDS, what="the daemon is up"
            )
            yield running

    def launch(self, *arguments: str) -> None:
        """The command shows how far it is until the daemon is killed: its end is of no interest."""
        command = [PROGRAM, "backfill", *arguments, "--yes"]
        with subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.home,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        ) as process:
            told = process.stderr.readline() if process.stderr else ""
            process.kill()
        self.id = told.split()[1]

    def wait_for_a_run(self) -> None:
        """One that this Dagster has begun and that goes on."""

        def goes_on() -> bool:
            return any(row.status == "running" for row in rows(self.ledger).values())

        wait_until(goes_on, limit_seconds=LIMIT_SECONDS, what="a run goes on")

    def resume_to_the_end(self) -> int:
        """How often it had to be resumed."""
        for number in range(MAX_RESUMPTIONS):
            wait_until(self._is_over, limit_seconds=LIMIT_SECONDS, what="the backfill is over")
            if not self.ask("status", self.id)["left"]:
                return number
            self.ask("resume", self.id, "--yes")
        return MAX_RESUMPTIONS

    def violations(self, entities: int) -> list[str]:
        found = [str(one) for one in self._status()["disagreements"]]
        progress = self._status()["progress"]
        if progress["done"] != entities:
            found.append(f"of {entities} entities {progress['done']} are done: {progress}")
        twice = query(
            self.ledger,
            "SELECT iid, count(*) FROM entity_outcomes WHERE failure_code IS NULL "
            "GROUP BY iid HAVING count(*) <> 1",
        )
        found += [f"issue {iid} has {count} outcomes that count" for iid, count in twice]
        with DuckDBLedger(self.ledger).read("check") as tx:
            found += [str(one) for one in check(tx).violations]
        return found

    def ask(self, *arguments: str) -> Any:
        done = subprocess.run(
            [PROGRAM, "backfill", *arguments, "--json"],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(done.stdout)

    def _status(self) -> Any:
        return self.ask("status", self.id)

    def _is_over(self) -> bool:
        status = self._status()
        family = [status, *(self.ask("status", one) for one in status["resumed_by"])]
        return all(one["state"] not in ("running", "cancelling", "failing") for one in family)

    def _daemon_is_there(self) -> bool:
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return daemon_runs(instance, utc_now())
