"""A shell and a notebook's kernel keep a published version open while syncs and publishes go on or are killed.

No sync may wait for them, and every read must be one whole version.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel

from surgical_pipeline.dataset.manifest import Manifest
from surgical_pipeline.dataset.publishing import publish
from surgical_pipeline.dataset.versions import version_numbers
from surgical_pipeline_tests.integration.dataset import publisher
from surgical_pipeline_tests.soak import reading
from surgical_pipeline_tests.soak.child import context, start
from surgical_pipeline_tests.soak.installation import Installation
from surgical_pipeline_tests.soak.reading import Reads
from surgical_pipeline_tests.surroundings import REPOSITORY

SCOPE = "acme/rocket#12-14!34+35"
IIDS = (12, 13, 14)
LIMIT_SECONDS = 120
_OPEN = "from surgical_pipeline_tests.soak.reading import Reading; reading = Reading({folder!r})"
_STOP = "import dataclasses, json; print(json.dumps(dataclasses.asdict(reading.stop())))"
_WAITS = "SELECT lock_wait_ms FROM sync_runs"
Stop = Callable[[], Reads]


@dataclass
class ReadersReport:
    """``waits_ms``: how long each sync waited for the ledger. ``windows_ms``: how long each publish held it."""

    shell: Reads = field(default_factory=Reads)
    notebook: Reads = field(default_factory=Reads)
    waits_ms: list[float] = field(default_factory=list)
    windows_ms: list[float] = field(default_factory=list)
    kills: int = 0
    violations: list[str] = field(default_factory=list)


def read_beside(
    installation: Installation, *, syncs: int, publishes: int, kills: int, seed: int = 7
) -> ReadersReport:
    """So many syncs and publishes at once, then publishes that are killed; both readers are open all the time."""
    report, folder = ReadersReport(), installation.home / "published"
    server = context()
    _sync(installation, server, report)
    publish(installation.ledger, folder)
    with _shell(folder) as shell, _kernel(folder) as kernel:
        beside = threading.Thread(target=_publish, args=(installation, folder, publishes, report))
        beside.start()
        for number in range(syncs):
            _change_something(installation, number)
            _sync(installation, server, report)
        beside.join(LIMIT_SECONDS)
        _kill(installation, folder, kills, report=report, dice=random.Random(seed))
        last = publish(installation.ledger, folder).manifest
        time.sleep(1)  # each reader reads several times a second: the last version is to be among them
        report.shell, report.notebook = shell(), kernel()
    report.violations += _judged(report, last, versions=version_numbers(folder))
    with installation.ledger.read() as tx:
        report.waits_ms = [float(ms) for (ms,) in tx._connection.execute(_WAITS).fetchall()]
    return report


def _judged(report: ReadersReport, last: Manifest, *, versions: list[int]) -> list[str]:
    wrong = [f"{name}: {one}" for name, reads in _readers(report) for one in reads.wrong]
    wrong += [f"{name} read version 1 {reads.kept} times" for name, reads in _readers(report) if reads.kept != 1]
    wrong += [f"{name} read nothing" for name, reads in _readers(report) if not reads.reads]
    if 1 not in versions:
        wrong.append("version 1 went, and two programs had it open")
    if last.version not in report.notebook.versions:
        wrong.append(f"the notebook never saw version {last.version}")
    return wrong


def _readers(report: ReadersReport) -> list[tuple[str, Reads]]:
    return [("the shell", report.shell), ("the notebook", report.notebook)]


def _change_something(installation: Installation, number: int) -> None:
    """So that each version has other counts than the one before."""
    installation.sandbox.control.add_note(IIDS[number % len(IIDS)], f"Reading {number} of the telemetry is in.")


def _sync(installation: Installation, server: Any, report: ReadersReport) -> None:
    process = start(server, installation.home, installation.environment, SCOPE)
    process.join(LIMIT_SECONDS)
    if process.exitcode != 0:
        report.violations.append(f"a sync ended with {process.exitcode}")
        process.kill()


def _publish(installation: Installation, folder: Path, publishes: int, report: ReadersReport) -> None:
    for _ in range(publishes):
        report.windows_ms.append(publish(installation.ledger, folder).manifest.window_ms)
        time.sleep(0.5)


def _kill(
    installation: Installation, folder: Path, kills: int, *, report: ReadersReport, dice: random.Random
) -> None:
    """Publishes that are killed at any moment; each leaves a version that the readers can open."""
    for _ in range(kills):
        killed = subprocess.Popen(
            [sys.executable, "-m", publisher.__name__, "publish", str(installation.ledger.path), str(folder)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
        )
        if killed.stdout is None:
            raise AssertionError("it has a pipe")
        killed.stdout.readline()
        time.sleep(dice.uniform(0, 0.8))
        killed.kill()
        killed.communicate()
        report.kills += 1


@contextmanager
def _shell(folder: Path) -> Iterator[Stop]:
    with subprocess.Popen(
        [sys.executable, "-m", reading.__name__, str(folder)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as shell:
        try:
            if shell.stdout is None or shell.stdout.readline() != "open\n":
                raise AssertionError("the shell did not open the copy")
            yield lambda: Reads(**json.loads(shell.communicate("")[0]))
        finally:
            shell.kill()


@contextmanager
def _kernel(folder: Path) -> Iterator[Stop]:
    """A notebook's kernel, as JupyterLab starts it."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(REPOSITORY))
    try:
        _run(client, _OPEN.format(folder=str(folder)))
        yield lambda: Reads(**json.loads(_run(client, _STOP)))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _run(client: Any, code: str) -> str:
    """What a cell prints.

    Raises:
        AssertionError: it failed.
    """
    printed: list[str] = []

    def keep(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            printed.append(message["content"]["text"])

    answer = client.execute_interactive(code, output_hook=keep, timeout=LIMIT_SECONDS)
    if answer["content"]["status"] != "ok":
        raise AssertionError(f"the cell failed: {answer['content']}")
    return "".join(printed)
