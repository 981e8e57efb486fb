"""One simulation: an installation in its surroundings, and a schedule of what happens to it."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from dagster import DagsterRunStatus

from surgical_pipeline.defs.sensors.requests import CHANGES, WEBHOOKS
from surgical_pipeline.domain.reconciliation import Liveness
from surgical_pipeline.ledger.runs import RunSummary
from surgical_pipeline_tests.simulation.backfill_checks import BackfillChecks
from surgical_pipeline_tests.simulation.backfill_daemon import BackfillDaemon
from surgical_pipeline_tests.simulation.checks import BrokenError, Checks
from surgical_pipeline_tests.simulation.daemon import Daemon, after
from surgical_pipeline_tests.simulation.dagster_storage import DagsterStorage, StoredRun
from surgical_pipeline_tests.simulation.gateways import SimulatedGateways
from surgical_pipeline_tests.simulation.gitlab import SimulatedGitLab
from surgical_pipeline_tests.simulation.interruptible import run_interruptible
from surgical_pipeline_tests.simulation.ledger import StoredLedger
from surgical_pipeline_tests.simulation.loop import VirtualLoop
from surgical_pipeline_tests.simulation.people import People
from surgical_pipeline_tests.simulation.processes import Machine, Process
from surgical_pipeline_tests.simulation.receiver import Hooks, Receiver
from surgical_pipeline_tests.simulation.run_process import RunProcess
from surgical_pipeline_tests.simulation.schedule import Surroundings
from surgical_pipeline_tests.simulation.sensors import Sensors
from surgical_pipeline_tests.simulation.steps import (
    Cancel,
    Edit,
    Hold,
    Kill,
    Lag,
    SetClock,
    Stall,
    Step,
    Trouble,
)
from surgical_pipeline_tests.simulation.trace import Trace


@dataclass
class Simulation:
    """All that a seed makes. ``file``: a new ledger. ``folder``: for snapshots and spool."""

    seed: int
    surroundings: Surroundings
    file: StoredLedger
    folder: Path
    loop: VirtualLoop
    trace: Trace
    given_up: set[tuple[str, int]] = field(default_factory=set)
    calm: bool = False
    _observer: Process | None = None

    def __post_init__(self) -> None:
        around, time = self.surroundings, self.loop.time
        self.truth = Machine("gitlab", time)
        self.file.runs_on(Machine("database", time, timedelta(seconds=around.database)))
        self.machines = [
            Machine(f"machine-{number}", time, timedelta(seconds=ahead), around.drift * (1 - 2 * number))
            for number, ahead in enumerate(around.clocks)
        ]
        self.gitlab = SimulatedGitLab(self.truth.wall, around)
        self.storage = DagsterStorage(self._new_id, self.machines[0].wall, time)
        self.hooks = Hooks(self.gitlab)
        self.checks = Checks(self.file, self.storage, self.hooks, thorough=self.seed % 10 == 0)
        self.runs: dict[str, tuple[Process, SimulatedGateways]] = {}
        self.daemon: Daemon | None = None
        self.sensors: Sensors | None = None
        self.receiver: Receiver | None = None
        self.people = People(
            self.storage,
            self.gitlab,
            self.file,
            process_of=self._command,
            later=lambda seconds, call: self._later(seconds, seconds, call),
            liveness_of=self._liveness_of,
        )
        self.backfills = BackfillChecks(self.file, self.storage, self.checks.tell_broken)
        self.last_asked = 0.0
        self.last_change = 0.0
        self.looks_again_at = 0.0
        self.left = ""
        self._pids = 0
        self._processes: list[Process] = []
        self._ids = Random(f"{self.seed}/ids")
        self._chance = Random(f"{self.seed}/chance")
        self._lives: dict[str, int] = {}
        self.storage.on_change.append(self._changed)
        self._timers: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------ who is there

    def begin(self) -> None:
        """Start what is always there."""
        self._start_daemon()
        if self.surroundings.hooks:
            self._start_receiver()

    def _start_daemon(self) -> None:
        process = self._process("daemon", self.machines[0])
        self.sensors = Sensors(
            process,
            self.storage,
            self.gitlab,
            self.file,
            liveness_of=self._liveness_of,
            given_up=self._give_up,
        )
        self.daemon = Daemon(process, self.storage, self._launch, self._asked, calm=lambda: self.calm)
        process.on_death.append(partial(self._later, 1, 40, self._start_daemon))
        self.daemon.begin(self.sensors.all())
        life = self._lives["daemon"]
        chance = Random(f"{self.seed}/backfills of daemon/{life}")
        backfills = BackfillDaemon(process, self.storage, self.cancel_run, chance)
        process.start(backfills.look())

    def _start_receiver(self) -> None:
        process = self._process("receiver", self.machines[1])
        self.receiver = Receiver(process, self.folder / "spool", self.file)
        self.hooks.receiver = self.receiver
        process.on_death.append(partial(self._later, 1, 20, self._start_receiver))
        self.checks.no_event_is_lost(self.receiver)

    def _launch(self, run_id: str) -> None:
        self._later(0.3, 60 if self._chance.random() < self.surroundings.slow else 4, partial(self._run, run_id))

    def _run(self, run_id: str) -> None:
        if self.storage.runs[run_id].finished:
            return
        process = self._process(f"run {run_id}", self._chance.choice(self.machines))
        gateways = SimulatedGateways(
            run_id, process=process, gitlab=self.gitlab, file=self.file, folder=self.folder
        )
        self.runs[run_id] = (process, gateways)
        process.on_death.append(partial(self._run_is_gone, run_id))
        run = RunProcess(self.storage, process, gateways, run_id, checks=self.checks.end_of_run)

        async def living() -> None:
            await run_interruptible(run.execute)
            process.exit()

        process.start(living())

    def _run_is_gone(self, run_id: str) -> None:
        """Dagster's code server notices, or does not."""
        if self._chance.random() < self.surroundings.noticed:
            self._later(0.5, 20, partial(self.storage.fail, run_id, "the run's process exited unexpectedly"))

    def _command(self, name: str) -> Process:
        return self._process(name, self.machines[len(self.people.processes) % len(self.machines)])

    def _process(self, name: str, machine: Machine) -> Process:
        self._pids += 1
        life = self._lives[name] = self._lives.get(name, 0) + 1
        chance = Random(f"{self.seed}/{name}/{life}")
        slow = 0.0 if self.calm else self.surroundings.slow
        process = Process(name, machine, self._pids, self.trace, chance, slow=slow)
        self._processes.append(process)
        return process

    def _later(self, least: float, most: float, call: Any) -> None:
        """Call it after a while, whoever dies meanwhile."""
        timer = asyncio.get_running_loop().create_task(after(self._chance.uniform(least, most), call))
        self._timers.add(timer)
        timer.add_done_callback(self._timers.discard)

    def end(self) -> None:
        """Nobody does anything any more."""
        for timer in self._timers:
            timer.cancel()
        for process in self._processes:
            process.on_death.clear()
            process.kill()

    def must_be_sound(self) -> None:
        """
        Raises:
            BrokenError: something did not hold within a process.
        """
        if self.checks.broken:
            raise BrokenError(self.checks.broken)

    def observer(self) -> Process:
        """Somebody who looks at everything, and to whom nothing happens."""
        self._observer = self._observer or self._process("observer", self.truth)
        return self._observer

    # ------------------------------------------------------------------ what it knows

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._ids.getrandbits(128)))

    def _liveness_of(self, run: RunSummary) -> Liveness:
        """As seen from the daemon's machine."""
        if run.run_id not in self.runs or run.pid is None or run.host != self.machines[0].name:
            return Liveness.UNKNOWN
        return Liveness.ALIVE if self.runs[run.run_id][0].alive else Liveness.GONE

    def _give_up(self, kind: str, iid: int) -> None:
        self.given_up.add((kind, iid))

    def _asked(self, sensor: str, _count: int) -> None:
        if sensor in {CHANGES, WEBHOOKS}:
            self.last_asked = self.loop.time()

    def _changed(self, stored: StoredRun) -> None:
        self.last_change = self.loop.time()
        self.checks.one_ask_at_a_time(stored)
        self.trace.add("dagster", f"run {stored.run.run_id[:8]} is {stored.run.status.value}")

    # ------------------------------------------------------------------ what happens to it

    async def go_through(self, steps: Sequence[Step]) -> None:
        for step in steps:
            await asyncio.sleep(max(0.0, step.at - self.loop.time()))
            self.trace.add("schedule", str(step))
            self._take(step)
            self.checks.no_event_is_lost(self.receiver)
            self.checks.each_run_has_a_number_of_its_own()
            self.must_be_sound()

    def _take(self, step: Step) -> None:
        match step:
            case Edit():
                announced = self.gitlab.edit(step)
                if self.surroundings.hooks:
                    self.hooks.announce(announced, step.hooks.delays)
            case Kill():
                self._kill(step)
            case Stall():
                self._stall(step)
            case Trouble():
                self.gitlab.trouble(step)
            case Lag():
                self.gitlab.lag(step)
            case Hold():
                self.file.hold(self.loop.time() + step.seconds)
            case SetClock():
                self.machines[step.which].ahead = timedelta(seconds=step.ahead)
            case Cancel():
                self._cancel(step)
            case _:
                self.people.take(step)

    def _kill(self, step: Kill) -> None:
        living = [process for process, _ in self.runs.values() if process.alive]
        if step.process == "daemon" and self.daemon:
            living = [self.daemon.process]
        elif step.process == "receiver":
            living = [self.receiver.process] if self.receiver else []
        elif step.process == "command":
            living = [one for one in self.people.processes if one.alive]
        if living:
            process = living[step.which % len(living)]
            if step.points and process.alive:
                process.dies_in = step.points
            else:
                process.kill()

    def _stall(self, step: Stall) -> None:
        living = [process for process, _ in self.runs.values() if process.alive]
        if living:
            living[step.which % len(living)].stalls = (step.points, step.seconds)

    def _cancel(self, step: Cancel) -> None:
        unfinished = self.storage.unfinished()
        if not unfinished:
            return
        self.cancel_run(unfinished[step.which % len(unfinished)].run.run_id)

    def cancel_run(self, run_id: str) -> None:
        """As the UI does: a run that waits is over at once, another is interrupted."""
        run = self.storage.runs[run_id].run
        if run.status is DagsterRunStatus.QUEUED:
            self.storage.set_status(run.run_id, DagsterRunStatus.CANCELED)
            return
        self.storage.set_status(run.run_id, DagsterRunStatus.CANCELING)
        if run.run_id in self.runs:
            self.runs[run.run_id][1].interrupted.set()
