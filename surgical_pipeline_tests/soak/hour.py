"""An hour of real processes: a GitLab that changes all the time, and everything that this project does beside it.

Sandbox, receiver, `dagster dev` with all its sensors; a person who syncs; backfills, one after the other; prunes
of all that is a few minutes old; kills of every part. Meanwhile memory, files and the ledger are watched. In the
end all comes to rest: the store equals the sandbox, no invariant is broken, nothing is left of any backfill, and
what is old is gone.

Daemon and webserver are killed in the first third alone, and the receiver in the first two: what lives on from
there shows whether its memory grows.
"""

import json
import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.event_chain import PROGRAM, PROJECT, EventChain, event_chain
from surgical_pipeline_tests.random_edits import RandomEdits
from surgical_pipeline_tests.soak.events import (
    DAEMON,
    RECEIVER,
    REST_SECONDS,
    TREE,
    EventReport,
    Killer,
    await_rest,
    editing,
    look_at,
)
from surgical_pipeline_tests.soak.growth import Growth, watched

MOST_MB_AN_HOUR = 60.0
"""A process that grows faster would double within hours. Told always; asked of runs of half an hour and more."""
LONG_ENOUGH_MINUTES = 30
MOST_GROWTH_OF_FILES = 1.5
"""From the second quarter to the last one: prunes keep up by then."""
_SAMPLES = 200
_LIMIT_SECONDS = 120
_GOOD_CODES = {0, 3, -9}
_BACKFILL = ("12-71", "20")
"""Issues and chunk."""
_NO_DAEMON = "has given no sign of life"
_UNDER_WAY = {"running", "cancelling", "failing"}
_MAX_RESUMPTIONS = 5


@dataclass
class HourReport:
    """``events``: of the chain; ``syncs``, ``backfills`` and ``prunes``: by exit code; ``pruned``: runs, by side.

    ``resumed``: backfills of which something was left in the end, as kills of their runs leave it.
    """

    minutes: float
    events: EventReport = field(default_factory=EventReport)
    syncs: Counter[int] = field(default_factory=Counter)
    backfills: Counter[int] = field(default_factory=Counter)
    resumed: int = 0
    prunes: Counter[int] = field(default_factory=Counter)
    pruned: Counter[str] = field(default_factory=Counter)
    growth: Growth = field(default_factory=Growth)
    trouble: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be, as sentences."""
        found = [*self.trouble, *self.events.rest, *self.events.violations]
        if self.events.events["dead"]:
            found.append(f"{self.events.events['dead']} dead letters")
        if self.minutes >= LONG_ENOUGH_MINUTES:
            found += [
                f"{one.role} grows by {one.slope:.0f} MB an hour"
                for one in self.growth.memories()
                if one.slope > MOST_MB_AN_HOUR
            ]
            early, late = self.growth.most_files(1 / 4, 1 / 2), self.growth.most_files(3 / 4, 1)
            if late > MOST_GROWTH_OF_FILES * early:
                found.append(f"{early} files in the second quarter became {late} in the last")
        return found


def live_an_hour(
    home: Path, *, minutes: float, seed: int, tell: Callable[[str], None] = lambda _line: None
) -> HourReport:
    """So many minutes of it, then to rest."""
    report, dice = HourReport(minutes), random.Random(seed)
    with (
        RunningSandbox(build_sample(issues=150)) as sandbox,
        event_chain(home, sandbox, hooks=True, polling=True) as chain,
        watched(home, lambda: _roots(chain), every_seconds=max(1.0, minutes * 60 / _SAMPLES)) as report.growth,
    ):
        sandbox.control.update_issue(12, title="Before the hour")
        chain.wait_for_vector("Before the hour")
        edits = RandomEdits(sandbox.control, seed=seed, told_within=timedelta(seconds=55))
        with ExitStack() as beside:
            killer = beside.enter_context(Killer(chain, dice, report.events))
            beside.enter_context(editing(edits))
            beside.enter_context(_again_and_again(lambda: _sync(chain, report, random.Random(seed)), 10))
            beside.enter_context(_again_and_again(lambda: _prune(chain, report, random.Random(seed)), 10))
            beside.enter_context(_again_and_again(lambda: _backfill(chain, report, random.Random(seed)), 10))
            _kill_until_the_end(killer, minutes=minutes, dice=dice, tell=lambda: tell(_line(report)))
        _finish_backfills(chain, report)
        await_rest(chain, report.events, edits.expected())
        report.events.edits = edits.counts()
        look_at(chain, report.events)
        _prune(chain, report, None)
        look_again = EventReport()
        look_at(chain, look_again)
        report.events.violations += [f"after the last prune: {one}" for one in look_again.violations]
        report.events.rest += [f"after the last prune: {one}" for one in chain.differences(edits.expected())]
    return report


def _roots(chain: EventChain) -> list[int]:
    found = [] if chain.dev is None else [chain.dev.process.pid]
    return found if chain.receiver is None else [*found, chain.receiver.pid]


def _kill_until_the_end(killer: Killer, *, minutes: float, dice: random.Random, tell: Callable[[], None]) -> None:
    began = time.monotonic()
    length = minutes * 60
    while (passed := time.monotonic() - began) < length:
        spared = {DAEMON, TREE} if passed > length / 3 else set[str]()
        killer.kill_one(but_not=spared | ({RECEIVER} if passed > length * 2 / 3 else set()))
        tell()
        time.sleep(min(dice.uniform(0, length / 60), max(0.0, length - (time.monotonic() - began))))


@contextmanager
def _again_and_again(work: Callable[[], None], pause_seconds: float) -> Iterator[None]:
    """In a thread, with pauses, until the block ends; an error ends it and is raised then."""
    stop, errors = threading.Event(), list[Exception]()

    def repeat() -> None:
        try:
            while not stop.wait(pause_seconds):
                work()
        except Exception as error:  # noqa: BLE001  the thread that waits for this one raises it
            errors.append(error)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


def _call(chain: EventChain, *arguments: str, dice: random.Random | None) -> tuple[int, str, str]:
    """What a person types; one in four is killed within its first seconds."""
    with subprocess.Popen(
        [PROGRAM, *arguments, "--json"],
        cwd=chain.home,
        env={**os.environ, **chain.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            if dice is not None and dice.random() < 1 / 4:
                stdout, stderr = process.communicate(timeout=dice.uniform(0, 6))
            else:
                stdout, stderr = process.communicate(timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


def _sync(chain: EventChain, report: HourReport, dice: random.Random) -> None:
    first = 12 + report.syncs.total() % 8
    dice.seed(report.syncs.total())
    code, _, stderr = _call(chain, "sync", f"{PROJECT}#{first}-{first + 2}!34", dice=dice)
    _note(report, report.syncs, code, f"sync: {stderr}")


def _backfill(chain: EventChain, report: HourReport, dice: random.Random) -> None:
    """Shown to its end, or not: it goes on when the command is killed, and the same one again then follows it."""
    issues, chunk = _BACKFILL
    dice.seed(2000 + report.backfills.total())
    arguments = ("backfill", PROJECT, "--issues", issues, "--chunk", chunk, "--only-changed", "--yes")
    code, _, stderr = _call(chain, *arguments, dice=dice)
    if code == 1 and _NO_DAEMON in stderr:  # killed, and not yet back
        return
    _note(report, report.backfills, code, f"backfill: {stderr}")


def _finish_backfills(chain: EventChain, report: HourReport) -> None:
    """Each is over, and what kills left of the last one is resumed until nothing is left."""

    def ask(*arguments: str) -> Any:
        return json.loads(_call(chain, "backfill", *arguments, dice=None)[1])

    def all_over() -> bool:
        return not any(one["state"] in _UNDER_WAY for one in ask("list"))

    for _ in range(_MAX_RESUMPTIONS):
        try:
            wait_until(all_over, limit_seconds=REST_SECONDS, what="all backfills are over")
        except AssertionError as error:
            going_on = [ask("status", one["backfill_id"]) for one in ask("list") if one["state"] in _UNDER_WAY]
            report.trouble.append(f"{error}: {json.dumps(going_on)}")
            return
        newest = ask("list")[:1]
        if not newest or not ask("status", newest[0]["backfill_id"])["left"]:
            return
        report.resumed += 1
        _call(chain, "backfill", "resume", newest[0]["backfill_id"], "--yes", dice=None)
    report.trouble.append(f"resumed {_MAX_RESUMPTIONS} times, a backfill still has something left")


def _prune(chain: EventChain, report: HourReport, dice: random.Random | None) -> None:
    """Of what is older than a tenth of the time, a minute at least; without dice it is not killed."""
    if dice is not None:
        dice.seed(1000 + report.prunes.total())
    age = f"{max(1, int(report.minutes / 10))}m"
    code, stdout, stderr = _call(chain, "prune", "--older-than", age, dice=dice)
    _note(report, report.prunes, code, f"prune: {stderr}")
    if code == 0:
        document = json.loads(stdout)
        report.pruned.update({side: document[side]["runs"] for side in ("dagster", "ledger")})
        report.pruned.update({"files": document["dagster"]["files"], "bytes": document["dagster"]["bytes"]})


def _note(report: HourReport, codes: Counter[int], code: int, what: str) -> None:
    codes[code] += 1
    if code not in _GOOD_CODES:
        report.trouble.append(f"exit code {code} of {what[-500:]}")


def _line(report: HourReport) -> str:
    seen = report.growth.home[-1] if report.growth.home else (0.0, 0, 0, 0)
    kills, syncs, backfills = (of.total() for of in (report.events.kills, report.syncs, report.backfills))
    return (
        f"{seen[0] / 60:.1f} min: {seen[1]} files, {seen[2] / 1e6:.0f} MB, ledger {seen[3] / 1e6:.1f} MB; "
        f"{kills} kills, {syncs} syncs, {backfills} backfills, {report.pruned['dagster']} runs pruned"
    )
