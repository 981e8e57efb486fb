"""Dagster's daemon and code server as one process: it ticks our sensors, submits, starts and watches runs.

It keeps just what Dagster promises. A tick's cursor and requests are stored together, or the evaluation happens
again. What was stored and not submitted is submitted later, under the same ids. A run key makes one run, ever.
Whether the end of a run's process is noticed is left to chance.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import dagster as dg
from dagster import DagsterRunStatus

from surgical_pipeline.defs.dagster_runs import BACKGROUND_TAG, PRIORITY_TAG
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline_tests.simulation.dagster_storage import DagsterStorage, StoredRun, StoredTick
from surgical_pipeline_tests.simulation.interruptible import run_interruptible, wait_for
from surgical_pipeline_tests.simulation.processes import Process

AT_ONCE = 4
BACKGROUND_AT_ONCE = 3
START_WITHIN = timedelta(seconds=300)
CANCELLED_WITHIN = timedelta(seconds=20)
LONGEST_PAUSE = 300.0
"""Between two ticks of a sensor, when nothing has happened for long."""

Evaluation = tuple[str | None, list[dg.RunRequest]]
"""The next cursor, and what is asked for."""


@dataclass(frozen=True)
class Sensor:
    """``evaluate``: code of `run_interruptible`; takes the stored cursor. ``seconds``: between two ticks."""

    name: str
    evaluate: Callable[[str | None], Evaluation]
    seconds: tuple[float, float]


@dataclass
class Daemon:
    """``start_run``: starts a run's process. ``asked``: called when a tick asked for something."""

    process: Process
    storage: DagsterStorage
    start_run: Callable[[str], None]
    asked: Callable[[str, int], None]
    calm: Callable[[], bool] = lambda: False
    names: list[str] = field(default_factory=list)
    looked_at: dict[str, float] = field(default_factory=dict)
    """When each sensor's last evaluation began that ended well."""

    def begin(self, sensors: list[Sensor]) -> None:
        self.names = [sensor.name for sensor in sensors]
        for sensor in sensors:
            self.process.start(self._tick(sensor))
        self.process.start(self._start_runs())
        self.process.start(self._watch_runs())

    def have_all_looked_since(self, time: float) -> bool:
        return all(self.looked_at.get(name, 0.0) > time for name in self.names)

    async def once(self, sensor: Sensor) -> None:
        """One evaluation, now."""
        await self.process.start(run_interruptible(partial(self._evaluate, sensor)))

    async def _tick(self, sensor: Sensor) -> None:
        pause = self.process.random.uniform(0, sensor.seconds[0])
        quiet = 0
        while True:
            await self.process.sleep(pause)
            asked = await run_interruptible(partial(self._evaluate, sensor))
            quiet = 0 if asked or not self.calm() else quiet + 1
            pause = min(self.process.random.uniform(*sensor.seconds) * 1.5 ** max(0, quiet - 3), LONGEST_PAUSE)

    def _evaluate(self, sensor: Sensor) -> bool:
        """True if something was asked for."""
        stored, began = self.storage.ticks.setdefault(sensor.name, StoredTick()), self.process.machine.time()
        self._submit_left(sensor, stored)
        try:
            cursor, requests = sensor.evaluate(stored.cursor)
        except LedgerError as error:
            self.process.trace.add(self.process.name, f"{sensor.name} could not look: {type(error).__name__}")
            return False
        wait_for(self.process.pause(f"{sensor.name} asks for {len(requests)}"))
        stored.cursor, stored.began = cursor, began
        stored.requests = [(self.storage.new_id(), request) for request in requests]
        self.looked_at[sensor.name] = began
        if requests:
            self.asked(sensor.name, len(requests))
        self._submit_left(sensor, stored)
        return bool(requests)

    def _submit_left(self, sensor: Sensor, stored: StoredTick) -> None:
        while stored.requests:
            wait_for(self.process.pause(f"{sensor.name} submits"))
            run_id, request = stored.requests.pop(0)
            if (sensor.name, str(request.run_key)) not in self.storage.run_keys:
                self.storage.create(run_id, request, sensor=sensor.name, began=stored.began)

    async def _start_runs(self) -> None:
        while True:
            await self.process.sleep(self.process.random.uniform(0.5, 3))
            waiting = [one for one in self.storage.unfinished() if one.run.status is DagsterRunStatus.QUEUED]
            going = len(self.storage.unfinished()) - len(waiting)
            waiting.sort(key=lambda one: (-int(one.run.tags.get(PRIORITY_TAG, "0")), one.number))
            for one in self._next(waiting, max(0, AT_ONCE - going)):
                self.process.point(f"starts run {one.run.run_id[:8]}")
                self.storage.set_status(one.run.run_id, DagsterRunStatus.STARTING)
                self.start_run(one.run.run_id)

    def _next(self, waiting: list[StoredRun], free: int) -> list[StoredRun]:
        """Those that may start: a slot stays free of runs for which nobody waits."""
        going = [one for one in self.storage.unfinished() if one.run.status is not DagsterRunStatus.QUEUED]
        background = BACKGROUND_AT_ONCE - sum(BACKGROUND_TAG in one.run.tags for one in going)
        chosen: list[StoredRun] = []
        for one in waiting:
            if BACKGROUND_TAG in one.run.tags:
                if background <= 0:
                    continue
                background -= 1
            chosen.append(one)
        return chosen[:free]

    async def _watch_runs(self) -> None:
        """Run monitoring, as in dagster.yaml."""
        while True:
            await self.process.sleep(5)
            now = self.storage.clock()
            for one in self.storage.unfinished():
                self._watch(one, since=now - one.updated_at)

    def _watch(self, one: StoredRun, since: timedelta) -> None:
        run_id = one.run.run_id
        if one.run.status is DagsterRunStatus.STARTING and since > START_WITHIN:
            self.storage.fail(run_id, "the run did not start in time")
        if one.run.status is DagsterRunStatus.CANCELING and since > CANCELLED_WITHIN:
            self.storage.set_status(run_id, DagsterRunStatus.CANCELED)


async def after(seconds: float, call: Callable[[], object]) -> None:
    await asyncio.sleep(seconds)
    call()
