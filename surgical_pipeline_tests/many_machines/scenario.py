"""A backfill over two workers, while machines fail; what a person does then; whether all is as it should be."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg
import httpx

from surgical_pipeline.defs.backfill_life import resumption
from surgical_pipeline.defs.backfill_records import daemon_runs, find_backfill
from surgical_pipeline.defs.backfill_status import status_of
from surgical_pipeline.defs.backfills import launch, plan
from surgical_pipeline.domain.backfill import Wish, named_scope
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.sandbox.tokens import SANDBOX_TOKEN
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.many_machines.cluster import ISSUES, Cluster
from surgical_pipeline_tests.many_machines.hosts import DATABASE, Host
from surgical_pipeline_tests.store_equals_sandbox import differences_of

PROJECT = "acme/rocket"
CHUNK = 50
LATENCY_MS = 100
"""So that a run takes some seconds, in which its machine can fail."""
LIMIT_SECONDS = 300
MOST_RESUMPTIONS = 5
_SAME = {
    "succeeded": "SUCCESS",
    "succeeded_with_warnings": "SUCCESS",
    "failed": "FAILURE",
    "cancelled": "CANCELED",
}
_CONTENT = ("issues", "discussions", "notes", "resource_events", "dependent_fetches")
Row = dict[str, Any]


@dataclass
class Report:
    """What happened, and in ``violations`` what is not as it should be in the end.

    ``hosts``: runs that succeeded on each machine. ``lost``: status and code in the ledger, and status in Dagster,
    of the runs that the machine without power had. ``cut_off``: the same of those without a database for a while.
    """

    hosts: dict[str, int] = field(default_factory=dict)
    lost: list[tuple[str, str | None, str]] = field(default_factory=list)
    cut_off: list[tuple[str, str | None, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    resumptions: int = 0
    outcomes: dict[int, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)


class Scenario:
    """``say``: is told what happens."""

    def __init__(self, cluster: Cluster, *, cut_seconds: float, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._cut_seconds = cut_seconds
        self._began = time.monotonic()
        self._say = say
        self.report = Report()

    def run(self) -> Report:
        cluster, began = self._cluster, utc_now()
        cluster.sandbox.control.set_latency(LATENCY_MS)
        with dg.DagsterInstance.get() as instance:
            wait_until(
                lambda: daemon_runs(instance, utc_now()), limit_seconds=LIMIT_SECONDS, what="the daemon is up"
            )
            self._tell("the daemon is up")
            wish = Wish(scopes=(named_scope(PROJECT, issues=f"{ISSUES[0]}-{ISSUES[-1]}"),), chunk=CHUNK)
            backfill_id = launch(instance, plan(wish, Settings.from_environment())).backfill_id
            lost = self._lose_power(cluster.west)
            cut_off = self._cut_off(cluster.east)
            cluster.west.boot()
            cluster.start_worker(cluster.west)
            self._tell("west is back")
            self._once_over(instance, backfill_id)
            self.report.lost = [self._ending(instance, one) for one in lost]
            self.report.cut_off = [self._ending(instance, one) for one in cut_off]
            self._resume(instance, backfill_id)
            self._compare(instance, began)
        return self.report

    def _lose_power(self, host: Host) -> list[str]:
        """In the middle of runs, when some have succeeded."""

        def in_the_middle() -> list[str] | None:
            return self._running_on(host.name) if self._ended_by_host() else None

        busy = wait_until(in_the_middle, limit_seconds=LIMIT_SECONDS, what=f"{host.name} has runs")
        host.lose_power()
        self._tell(f"{host.name} has no power, with {len(busy)} runs")
        return self._running_on(host.name)

    def _cut_off(self, host: Host) -> list[str]:
        """From the database alone; meanwhile the broker is restarted."""
        wait_until(lambda: self._running_on(host.name), limit_seconds=LIMIT_SECONDS, what=f"{host.name} has runs")
        host.plug(DATABASE, connected=False)
        runs = self._running_on(host.name)
        self._tell(f"{host.name} is cut off from the database, with {len(runs)} runs")
        end = time.monotonic() + self._cut_seconds
        self._cluster.redis.restart()
        time.sleep(max(0.0, end - time.monotonic()))
        host.plug(DATABASE, connected=True)
        self._tell(f"{host.name} has the database again")
        return runs

    def _ending(self, instance: dg.DagsterInstance, run_id: str) -> tuple[str, str | None, str]:
        ((status, code),) = self._rows(f"SELECT status, failure_code FROM sync_runs WHERE run_id = '{run_id}'")
        run = instance.get_run_by_id(run_id)
        return status, code, run.status.value if run else "unknown"

    def _resume(self, instance: dg.DagsterInstance, backfill_id: str) -> None:
        """As a person would, as long as something is left."""
        ledger = self._cluster.ledger
        while True:
            left = resumption(instance, ledger, find_backfill(instance, backfill_id))
            self._tell(f"{left.plan.entities} entities are left")
            if not left.plan.entities or self.report.resumptions >= MOST_RESUMPTIONS:
                break
            self.report.resumptions += 1
            self._once_over(instance, launch(instance, left.plan, tags=left.tags).backfill_id)
        status = status_of(instance, ledger, find_backfill(instance, backfill_id))
        self.report.violations += status.disagreements
        if status.left or status.progress.done != len(ISSUES):
            self.report.violations.append(
                f"{status.left} are left and {status.progress.done} done of {len(ISSUES)}"
            )

    def _compare(self, instance: dg.DagsterInstance, began: datetime) -> None:
        """Ledger, Dagster and GitLab."""
        self.report.hosts = self._ended_by_host()
        found = self.report.violations
        for run_id, status, word in self._rows("SELECT run_id, status, dagster_status FROM sync_runs"):
            run = instance.get_run_by_id(run_id)
            if run is None or not run.status.value == word == _SAME.get(status):
                found.append(f"run {run_id} is {status}, {word}, and in Dagster {run and run.status.value}")
        self.report.outcomes = dict(
            self._rows(
                "SELECT iid, count(*) FROM entity_outcomes AS outcome WHERE NOT EXISTS (SELECT 1 FROM "
                "entity_failures AS failure WHERE failure.run_id = outcome.run_id AND failure.iid = outcome.iid) "
                "GROUP BY iid"
            )
        )
        found += [f"issue {iid}: {count} outcomes" for iid, count in self.report.outcomes.items() if count != 1]
        found += [f"issue {iid} has none" for iid in ISSUES if iid not in self.report.outcomes]
        for table in _CONTENT:
            ((first, last),) = self._rows(f"SELECT min(fetched_at), max(fetched_at) FROM {table}")
            if not began <= first.astimezone(UTC) <= last.astimezone(UTC) <= utc_now():
                found.append(f"{table} were fetched from {first} to {last}: not by GitLab's clock")
        with self._cluster.ledger.read("check") as tx:
            found += [str(one) for one in check(tx).violations]
        self._cluster.sandbox.control.set_latency(0)
        headers = {"PRIVATE-TOKEN": SANDBOX_TOKEN}
        url = f"{self._cluster.sandbox.url}/api/v4"
        expected = [("issue", iid) for iid in ISSUES]
        with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as api:
            different = differences_of(self._rows, api, project=PROJECT, expected=expected)
        found += [f"{key}{text}" for key, text in different]
        self._tell("compared")

    def _once_over(self, instance: dg.DagsterInstance, backfill_id: str) -> None:
        wait_until(
            partial(lambda: find_backfill(instance, backfill_id).state.over),
            limit_seconds=LIMIT_SECONDS,
            what=f"backfill {backfill_id} is over",
        )
        self._tell("the backfill is over")

    def _ended_by_host(self) -> dict[str, int]:
        return dict(self._rows("SELECT host, count(*) FROM sync_runs WHERE status = 'succeeded' GROUP BY host"))

    def _running_on(self, host: str) -> list[str]:
        wanted = f"status = 'running' AND phase = 'dependents' AND host = '{host}'"
        return [run_id for (run_id,) in self._rows(f"SELECT run_id FROM sync_runs WHERE {wanted}")]

    def _rows(self, text: str) -> list[tuple[Any, ...]]:
        """Payloads as JSON text."""
        found = self._cluster.rows(text) if self._cluster.ledger.exists else []
        return [tuple(json.dumps(one) if isinstance(one, dict) else one for one in row) for row in found]

    def _tell(self, what: str) -> None:
        self.report.seconds[what] = round(time.monotonic() - self._began, 1)
        self._say(f"{self.report.seconds[what]:6.1f} s  {what}")
