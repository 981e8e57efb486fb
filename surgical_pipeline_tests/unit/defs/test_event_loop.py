"""Work on an event loop of its own, and interrupts of the thread that waits for it, wherever they land."""

import asyncio
import contextvars
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import pytest

from surgical_pipeline.defs import event_loop
from surgical_pipeline.defs.event_loop import run_async

LIMIT_SECONDS = 20


class Interrupted(BaseException):
    """As Dagster's signal handler raises it."""


class Work:
    """Goes on until it is cancelled. ``began``, ``ended``: whether it did."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.ended = threading.Event()

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.sleep(3600)
        finally:
            self.ended.set()


@contextmanager
def interrupted_once(moment: threading.Event) -> Iterator[None]:
    """A signal once ``moment`` is set and the main thread waits, in which the handler raises."""

    def send() -> None:
        if moment.wait(LIMIT_SECONDS):
            while threading.Thread.start.__code__ in codes_of_main_thread():
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGINT)

    def handler(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    sender = threading.Thread(target=send)
    before = signal.signal(signal.SIGINT, handler)
    try:
        sender.start()
        yield
    finally:
        sender.join()
        signal.signal(signal.SIGINT, before)


def codes_of_main_thread() -> set[CodeType]:
    """What it is executing, from the outermost function to the innermost."""
    frame = sys._current_frames()[threading.main_thread().ident or 0]
    return {one.f_code for one, _ in traceback.walk_stack(frame)}


def threads() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "event-loop"}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    end = time.monotonic() + LIMIT_SECONDS
    while threads() and time.monotonic() < end:
        time.sleep(0.01)
    assert threads() == set()


def test_the_result_and_the_error_of_the_work_come_back() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    async def defect() -> int:
        raise ZeroDivisionError("a defect")

    assert run_async(answer) == 42
    with pytest.raises(ZeroDivisionError, match="a defect"):
        run_async(defect)


def test_the_work_sees_the_context_of_the_caller() -> None:
    said = contextvars.ContextVar[str]("said")

    async def hear() -> str:
        return said.get()

    said.set("by the caller")
    assert run_async(hear) == "by the caller"


def test_an_interrupt_cancels_the_work_and_waits_for_its_end() -> None:
    work = Work()
    with interrupted_once(work.began), pytest.raises(Interrupted):
        run_async(work)
    assert work.ended.is_set()


def test_an_interrupt_while_the_event_loop_starts_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    starts, may_start = threading.Event(), threading.Event()
    new_event_loop = asyncio.events.new_event_loop

    def slowly() -> asyncio.AbstractEventLoop:
        starts.set()
        may_start.wait(LIMIT_SECONDS)
        return new_event_loop()

    monkeypatch.setattr(asyncio.events, "new_event_loop", slowly)
    work = Work()
    with interrupted_once(starts), pytest.raises(Interrupted):
        run_async(work)
    [thread] = threads()
    may_start.set()
    thread.join(LIMIT_SECONDS)
    assert not thread.is_alive()
    assert not work.began.is_set()


def test_wherever_an_interrupt_lands_it_comes_out_and_the_work_is_over() -> None:
    """In each line that the waiting thread executes, one after the other, until there is none left."""
    lines = 0
    while interrupted_in_line(lines):
        lines += 1
    assert lines > 15


def interrupted_in_line(number: int) -> bool:
    """Whether there was such a line before the wait was over by itself."""
    work = QuickWork()
    seen = 0

    def look(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal seen
        if frame.f_code.co_filename != event_loop.__file__:
            return None
        if event == "line":
            seen += 1
            if seen > number:
                raise Interrupted
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        run_async(work)
    except Interrupted:
        assert not work.runs
        return True
    finally:
        sys.settrace(before)
    assert work.began.is_set()
    return False


class QuickWork:
    """``runs``: whether it is in its middle."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.runs = False

    async def __call__(self) -> None:
        self.began.set()
        self.runs = True
        try:
            await asyncio.sleep(0.05)
        finally:
            self.runs = False
