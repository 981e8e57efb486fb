"""Our sensors' evaluations as the simulated daemon makes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from surgical_pipeline.defs.list_looks import Looks, look_at_lists
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.defs.polling import Poll
from surgical_pipeline.defs.sensors import gitlab_changes, sweep
from surgical_pipeline.defs.sensors.gitlab_webhooks import InboxTick
from surgical_pipeline.defs.sensors.requests import CHANGES, WEBHOOKS
from surgical_pipeline.domain.reconciliation import Liveness
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.poll_cursor import States
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import RunSummary
from surgical_pipeline.ledger.settling import due_entities
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.simulation.daemon import Evaluation, Sensor
from surgical_pipeline_tests.simulation.dagster_storage import DagsterConnection, DagsterStorage
from surgical_pipeline_tests.simulation.gitlab import GROUP, PROJECT, SimulatedGitLab
from surgical_pipeline_tests.simulation.interruptible import wait_for
from surgical_pipeline_tests.simulation.ledger import StoredLedger
from surgical_pipeline_tests.simulation.network import client_of
from surgical_pipeline_tests.simulation.processes import NOON, Process

MIRROR, SWEEP = "mirror", "sweep"
_LATER = timedelta(hours=2)
"""When every pause of the settle rule is over."""


@dataclass
class Sensors:
    """``given_up``: called with what a tick of polling gives up and says so."""

    process: Process
    storage: DagsterStorage
    gitlab: SimulatedGitLab
    file: StoredLedger
    liveness_of: Callable[[RunSummary], Liveness]
    given_up: Callable[[str, int], None]

    _settled_in = -1

    def __post_init__(self) -> None:
        since = (NOON - timedelta(days=3)).isoformat()
        watched = f"{GROUP}/*" if self.gitlab.surroundings.of_group else PROJECT
        self._settings = Settings(environment={"SURGICAL_PROJECTS": watched, "SURGICAL_SINCE": since})
        self._limiter = RateLimiter(monotonic=self.process.machine.time)
        self._connection = DagsterConnection(self.storage, self.process)

    def all(self) -> list[Sensor]:
        return [
            Sensor(MIRROR, self.mirror, (5, 25)),
            Sensor(CHANGES, self.changes, (10, 30)),
            Sensor(WEBHOOKS, self.webhooks, (3, 15)),
        ]

    def mirror(self, cursor: str | None) -> Evaluation:
        look = Mirror(
            self._connection.instance,
            self._ledger(30),
            liveness_of=self.liveness_of,
        )
        return look.reconcile(datetime.fromisoformat(cursor) if cursor else None).isoformat(), []

    def changes(self, cursor: str | None) -> Evaluation:
        tick = Poll(self._settings, self._ledger(2), look=self._look).tick(cursor)
        for row in tick.report.missed:
            self.given_up(str(row.key.entity_type), row.key.iid)
        return tick.cursor, gitlab_changes.requests_of(tick)

    def webhooks(self, cursor: str | None) -> Evaluation:
        tick = InboxTick(
            self._connection.instance, self._ledger(30), self._settings.watches, now=self.process.machine.wall()
        )
        following, requests = tick.evaluate(cursor)
        return str(following), requests

    def sweep(self, cursor: str | None, *, deep: bool) -> Evaluation:
        """A schedule: its run keys have the time of its tick."""
        requests = sweep.requests_of(self._ledger(30), self._settings.watches, deep=deep)
        at = f"{self.process.machine.time():.3f}"
        return cursor, [_keyed(request, f"{request.run_key} {at}") for request in requests]

    def unsettled(self) -> list[str]:
        """What the settle rule still means to ask for, now or later."""
        if self._settled_in != self.file.version:
            with self._ledger(30).read("what is not settled") as tx:
                found = due_entities(tx, now=self.process.machine.wall() + _LATER)
            if found:
                return [str(one.key) for one in found]
            self._settled_in = self.file.version
        return []

    def _look(self, watches: Sequence[Watch], states: States) -> Looks:
        machine = self.process.machine
        clock = GitLabClock(machine.wall, machine.uptime)
        client = client_of(self.gitlab, self.process, limiter=self._limiter, clock=clock)
        looking = look_at_lists(
            client, watches, states, since=self._settings.since, wall=machine.wall, monotonic=machine.time
        )
        looks = wait_for(looking)
        for look in (one for lists in looks.lists.values() for one in lists):
            for at in look.left_out:
                self._give_up_those_of(at)
        return looks

    def _give_up_those_of(self, at: datetime) -> None:
        """More changed at that time than GitLab lists, which the tick says."""
        for _, kind, iid in self.gitlab.changed_at(at):
            self.given_up(kind, iid)

    def _ledger(self, seconds: float) -> Ledger:
        return self.file.opened_by(self.process, timeout_seconds=seconds)


def _keyed(request: dg.RunRequest, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=run_key, run_config=request.run_config, tags=request.tags)
