"""kill -9 of every part between GitLab and the ledger while GitLab goes on changing; at rest nothing is missing.

Hooks that come while the receiver is down are lost: polling has to make up for them.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

import dagster as dg
import psutil

from surgical_pipeline.defs.dagster_runs import NOT_FINISHED, RUN_KEY_TAG, SENSOR_TAG
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import kill_tree, wait_until
from surgical_pipeline_tests.event_chain import EventChain, event_chain
from surgical_pipeline_tests.random_edits import RandomEdits
from surgical_pipeline_tests.store_equals_sandbox import Key

REST_SECONDS = 300
PAUSE_SECONDS = 0.8
"""Between two edits, in the middle."""
RECEIVER, DAEMON, TREE = "receiver", "daemon", "dagster dev, the whole tree"
_DOWN_SECONDS = 4.0
"""How long the receiver or the daemon is away, at most: long enough for hooks to be lost."""
_CALM_SECONDS = 9.0
"""Between two kills, at most."""
_RUN_APPEARS_SECONDS = 30


@dataclass
class EventReport:
    """``rest``: what is not as it should be in the end; ``rest_seconds``: from the last edit until it was."""

    kills: Counter[str] = field(default_factory=Counter)
    edits: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    rest: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    rest_seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.rest or self.violations or self.events["dead"])


def kill_the_chain(
    home: Path, *, seconds: float, seed: int, on_kill: Callable[[EventReport], None] = lambda _report: None
) -> EventReport:
    """Edit and kill for so long, then let everything run until it is at rest, for ``REST_SECONDS`` at most."""
    report = EventReport()
    with (
        RunningSandbox(build_sample(issues=150)) as sandbox,
        event_chain(home, sandbox, hooks=True, polling=True) as chain,
    ):
        sandbox.control.update_issue(12, title="Before the first kill")
        chain.wait_for_vector("Before the first kill")
        edits = RandomEdits(sandbox.control, seed=seed, told_within=timedelta(seconds=55))
        with Killer(chain, random.Random(seed), report) as killer, editing(edits):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                killer.kill_one()
                on_kill(report)
        await_rest(chain, report, edits.expected())
        report.edits = edits.counts()
        look_at(chain, report)
    return report


class Killer:
    """Kills, and starts again what does not start by itself. What outlives its parents is killed at the end."""

    def __init__(self, chain: EventChain, dice: random.Random, report: EventReport) -> None:
        self._chain = chain
        self._dice = dice
        self._report = report
        self._left: list[psutil.Process] = []
        self._kinds: dict[str, tuple[int, Callable[[], bool]]] = {
            RECEIVER: (3, self._receiver),
            "worker of a run": (4, self._worker),
            DAEMON: (1, self._daemon),
            TREE: (1, self._tree),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for process in self._left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(self._left, timeout=10)

    def kill_one(self, *, but_not: Collection[str] = ()) -> None:
        """After a random pause; each kind has had its turn before chance alone decides."""
        time.sleep(self._dice.uniform(0, _CALM_SECONDS))
        kinds = [kind for kind in self._kinds if kind not in but_not]
        chosen = [kind for kind in kinds if not self._report.kills[kind]] or kinds
        [kind] = self._dice.choices(chosen, [self._kinds[kind][0] for kind in chosen])
        if self._kinds[kind][1]():
            self._report.kills[kind] += 1

    def _receiver(self) -> bool:
        assert self._chain.receiver is not None
        self._chain.receiver.kill()
        self._chain.receiver.wait(timeout=10)
        time.sleep(self._dice.uniform(0, _DOWN_SECONDS))
        self._chain.restart_receiver()
        return True

    def _worker(self) -> bool:
        """At any moment of its life, if there is one within the limit."""
        try:
            workers = wait_until(self._workers, limit_seconds=_RUN_APPEARS_SECONDS, what="a run has a worker")
        except AssertionError:
            return False
        worker = self._dice.choice(workers)
        time.sleep(self._dice.uniform(0, 1))
        with suppress(psutil.NoSuchProcess):
            worker.kill()
            return True
        return False

    def _workers(self) -> list[psutil.Process]:
        assert self._chain.dev is not None
        running = {row[0] for row in self._chain.rows("SELECT pid FROM sync_runs WHERE status = 'running'")}
        tree = psutil.Process(self._chain.dev.process.pid).children(recursive=True)
        return [process for process in tree if process.pid in running]

    def _daemon(self) -> bool:
        """Then the rest of `dagster dev`, which ends without its daemon; workers go on."""
        assert self._chain.dev is not None
        dev = psutil.Process(self._chain.dev.process.pid)
        tree = dev.children(recursive=True)
        [daemon] = [process for process in tree if "dagster._daemon" in process.cmdline()]
        daemon.kill()
        time.sleep(self._dice.uniform(0, _DOWN_SECONDS))
        workers = self._workers()
        self._left += workers
        for process in {dev, *tree}.difference(workers):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._chain.dev.process.wait(timeout=10)
        self._chain.start_dagster()
        return True

    def _tree(self) -> bool:
        assert self._chain.dev is not None
        kill_tree(self._chain.dev.process)
        self._chain.start_dagster()
        return True


@contextmanager
def editing(edits: RandomEdits) -> Iterator[None]:
    """Edits go on in a thread meanwhile; what stopped them early is raised at the end."""
    stop, errors = threading.Event(), list[Exception]()

    def edit() -> None:
        try:
            while not stop.is_set():
                edits.make(1, pause_seconds=PAUSE_SECONDS)
        except Exception as error:  # noqa: BLE001  the thread that waits for this one raises it
            errors.append(error)

    thread = threading.Thread(target=edit)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def await_rest(chain: EventChain, report: EventReport, expected: set[Key]) -> None:
    """It looks every two seconds, so that the looks do not keep the ledger from the runs."""
    began = time.monotonic()
    while True:
        report.rest = _unsettled(chain) or chain.differences(expected)
        report.rest_seconds = time.monotonic() - began
        if not report.rest or report.rest_seconds > REST_SECONDS:
            return
        time.sleep(2)


def _unsettled(chain: EventChain) -> list[str]:
    """Events and runs that are not over, as sentences."""
    waiting = chain.rows(
        "SELECT seq, entity_type, iid, attempts FROM gitlab_events WHERE state NOT IN ('done', 'dead', 'ignored')"
    )
    open_runs = chain.rows("SELECT run_id, status, phase FROM sync_runs WHERE status IN ('queued', 'running')")
    found = [f"event {seq} of {kind} {iid} waits, {attempts} attempts" for seq, kind, iid, attempts in waiting]
    found += [f"run {run_id} is {status} in {phase}" for run_id, status, phase in open_runs]
    if found:
        return found
    with dg.DagsterInstance.from_config(str(chain.home)) as instance:
        return [
            f"Dagster's run {run.run_id} is {run.status.value}"
            for run in instance.get_runs(dg.RunsFilter(statuses=NOT_FINISHED))
        ]


def look_at(chain: EventChain, report: EventReport) -> None:
    report.events = _counted(chain, "SELECT state, COUNT(*) FROM gitlab_events GROUP BY state")
    report.runs = _counted(chain, "SELECT status, COUNT(*) FROM sync_runs GROUP BY status")
    report.failures = _counted(
        chain,
        "SELECT failure_code, COUNT(*) FROM sync_runs WHERE failure_code IS NOT NULL GROUP BY failure_code",
    )
    with DuckDBLedger(chain.ledger).read() as tx:
        broken = check(tx).violations
    report.violations = [f"{one.invariant}: {one.count}, such as {one.examples[0]}" for one in broken]
    report.violations += _asked_twice(chain)


def _counted(chain: EventChain, sql: str) -> Counter[str]:
    return Counter({str(name): int(str(count)) for name, count in chain.rows(sql)})


def _asked_twice(chain: EventChain) -> list[str]:
    """Run keys that came as more than one run: what a sensor asked for was submitted again after a kill."""
    with dg.DagsterInstance.from_config(str(chain.home)) as instance:
        keys = Counter(
            (run.tags.get(SENSOR_TAG), run.tags[RUN_KEY_TAG])
            for run in instance.get_runs()
            if RUN_KEY_TAG in run.tags
        )
    return [f"{sensor} has {count} runs of the key {key}" for (sensor, key), count in keys.items() if count > 1]
