"""Real processes: one that lives, one that is killed, one whose pid belongs to somebody else by now."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from surgical_pipeline.domain.reconciliation import Liveness
from surgical_pipeline.ledger.process import ProcessIdentity

TELL = """
import sys
from surgical_pipeline.ledger.process import ProcessIdentity
worker = ProcessIdentity.of_this_process()
print(worker.host, worker.pid, worker.mark, sep="\\n", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", TELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def identity_of(child: subprocess.Popen[str]) -> ProcessIdentity:
    assert child.stdout is not None
    host, pid, mark = (child.stdout.readline().strip() for _ in range(3))
    return ProcessIdentity(host, int(pid), mark)


def test_a_process_knows_itself_alive() -> None:
    here = ProcessIdentity.of_this_process()
    assert here.pid == os.getpid()
    assert here.liveness is Liveness.ALIVE


def test_a_living_process_is_alive_also_when_it_is_stopped(child: subprocess.Popen[str]) -> None:
    worker = identity_of(child)
    assert worker.liveness is Liveness.ALIVE
    child.send_signal(signal.SIGSTOP)
    assert worker.liveness is Liveness.ALIVE


def test_a_killed_process_is_gone_before_and_after_its_parent_asks(child: subprocess.Popen[str]) -> None:
    worker = identity_of(child)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table of processes
    assert worker.liveness is Liveness.GONE
    child.wait()
    assert worker.liveness is Liveness.GONE


def test_a_reused_pid_does_not_count(child: subprocess.Popen[str]) -> None:
    worker = identity_of(child)
    assert worker.mark is not None
    other = worker.mark.rpartition("/")[0] + "/1"
    assert replace(worker, mark=other).liveness is Liveness.GONE


@pytest.mark.parametrize(
    "changes", [{"host": "elsewhere"}, {"mark": None}, {"mark": "another-boot/pid:[1]/1"}, {"mark": ""}]
)
def test_what_cannot_be_seen_from_here_is_unknown(changes: dict[str, str | None]) -> None:
    here = ProcessIdentity.of_this_process()
    known = {"host": here.host, "pid": here.pid, "mark": here.mark}
    assert ProcessIdentity(**(known | changes)).liveness is Liveness.UNKNOWN  # type: ignore[arg-type]
