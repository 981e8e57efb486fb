"""Progress in words, and where it goes."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from surgical_pipeline.cli import progress
from surgical_pipeline.cli.progress import Display, Told, display_for, shown_progress
from surgical_pipeline.domain.progress import Progress


class HandClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_line_says_what_is_done_failed_and_left() -> None:
    clock = HandClock()
    told = Told(clock)
    told.line(Progress("dependents", 0, 1000, requests=0))
    clock.now += 4
    now = Progress("dependents", 340, 1000, failed=2, requests=340, seconds=10.3)
    assert told.line(now) == "dependents 340/1,000, 2 failed, 85 requests/s, about 20 s left"


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (Progress("preflight", 0, 3), "preflight 0/3"),
        (Progress("docs", 3, 3, seconds=9), "docs 3/3"),
        (Progress("embed", 1, 3, unit="documents", seconds=1), "embed 1/3 documents"),
        (Progress("embed", 10, 40, unit="documents", seconds=2), "embed 10/40 documents, about 6 s left"),
        (Progress("ingest", 1, 100, seconds=3), "ingest 1/100, about 5 min left"),
        (Progress("ingest", 1, 10_000, seconds=3), "ingest 1/10,000, about 8 h left"),
        (Progress("ingest", 999, 1000, seconds=3), "ingest 999/1,000, about 1 s left"),
        (Progress("ingest", 12, 10, seconds=3), "ingest 12/10"),
    ],
)
def test_what_is_not_known_is_left_out(now: Progress, line: str) -> None:
    assert Told().line(now) == line


def test_the_rate_is_that_of_the_last_seconds_of_the_phase() -> None:
    clock = HandClock()
    told = Told(clock)
    for second, requests in enumerate((0, 500, 500, 500, 500, 500, 500, 510)):
        clock.now = float(second)
        line = told.line(Progress("dependents", 0, 9, requests=requests))
    assert line == "dependents 0/9, 2 requests/s"
    clock.now += 1
    assert told.line(Progress("docs", 0, 9, requests=510)) == "docs 0/9"


def test_looks_that_are_far_apart_have_a_rate_too() -> None:
    clock = HandClock()
    told = Told(clock)
    for _ in range(3):
        clock.now += 10
        line = told.line(Progress("dependents", 0, 9, requests=round(clock.now) * 7))
    assert line == "dependents 0/9, 7 requests/s"


@pytest.mark.parametrize(
    ("terminal", "as_json", "verbose", "display"),
    [
        (True, False, False, Display.LINE),
        (True, True, False, Display.NOTHING),
        (False, False, False, Display.NOTHING),
        (False, False, True, Display.LINES),
        (False, True, True, Display.LINES),
    ],
)
def test_a_person_sees_a_line_and_a_verbose_log_lines(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, as_json: bool, verbose: bool, display: Display
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert display_for(as_json=as_json, verbose=verbose) is display


def test_lines_come_now_and_then_and_only_if_something_is_done(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.001)
    looks = iter([None, Progress("docs", 1, 3), Progress("docs", 1, 3), Progress("docs", 2, 3)])
    over = threading.Event()

    def look() -> Progress | None:
        found = next(looks, None)
        if found is not None and found.done == 2:
            over.set()
        return found

    with shown_progress(look, Display.LINES):
        assert over.wait(10)
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "docs 1/3\ndocs 2/3\n")


def test_it_is_seen_while_another_sends_stderr_into_a_file(tmp_path: Path) -> None:
    """As Dagster does with what a step writes. In a process of its own, for pytest has its own stderr."""
    program = """
import os, sys, threading
from surgical_pipeline.cli import progress
from surgical_pipeline.domain.progress import Progress

looked = threading.Semaphore(0)

def look():
    looked.release()
    return Progress("docs", 1, 3)

progress.LINE_EVERY_SECONDS = 0.001
with progress.shown_progress(look, progress.Display.LINES), open(sys.argv[1], "w") as file:
    os.dup2(file.fileno(), 2)
    for _ in range(3):
        looked.acquire(timeout=10)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "step.err")], capture_output=True, text=True, check=True
    )
    assert done.stderr == "docs 1/3\n"
    assert (tmp_path / "step.err").read_text() == ""


def test_an_error_in_the_block_passes_and_ends_the_lines(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), shown_progress(lambda: None, Display.LINES):
        raise KeyboardInterrupt
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]
    assert not re.search(r"\S", capfd.readouterr().err)
