"""The file by which all processes of a machine stay within one rate limit."""

import fcntl
import logging
import multiprocessing
import os
import stat
import struct
from collections.abc import Iterator
from itertools import pairwise
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from surgical_pipeline.gitlab import shared_pacing
from surgical_pipeline.gitlab.clock import uptime
from surgical_pipeline.gitlab.pacing import LATEST_SECONDS, Pacing, Priority
from surgical_pipeline.gitlab.shared_pacing import SharedPacing

PROCESSES = 4
RESERVED = 200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pacing"


@pytest.fixture
def pacing(path: Path) -> Iterator[SharedPacing]:
    shared = SharedPacing(path, lambda: 1000.0)
    yield shared
    shared.close()


def pause(pacing: SharedPacing, until: float) -> None:
    pacing.update(lambda value: (value.paused(until), None))


def test_what_one_writes_the_other_reads(path: Path, pacing: SharedPacing) -> None:
    other = SharedPacing(path, lambda: 1000.0)
    assert other.read() == Pacing()
    pause(pacing, 1030.0)
    assert other.read() == pacing.read()
    assert other.read().paused_until == 1030.0
    assert other.update(lambda value: value.reserved(1000.0)) == 1030.0
    assert pacing.read().next_starts[Priority.PEOPLE] > 1030.0


def test_the_places_of_all_priorities_are_shared(path: Path, pacing: SharedPacing) -> None:
    pacing.update(lambda value: (value.spread(remaining=20, until=1010.0, now=1000.0), None))
    for _ in range(8):
        pacing.update(lambda value: value.reserved(1000.0, Priority.BACKGROUND))
    other = SharedPacing(path, lambda: 1000.0)
    starts = [
        other.update(lambda value, of=of: value.reserved(1000.0, of))  # type: ignore[misc]  # mypy loses the default
        for of in (Priority.PEOPLE, Priority.SENSORS, Priority.BACKGROUND)
    ]
    assert starts == [1000.0, pytest.approx(1000.0625), pytest.approx(1005.0)]
    assert pacing.read() == other.read()


def test_the_file_is_private(path: Path, pacing: SharedPacing) -> None:
    pause(pacing, 1030.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [b"", b"short", os.urandom(64), b"\xff" * 64, b"\0" * 4096],
    ids=["none", "cut", "any", "nan", "long"],
)
def test_a_file_with_anything_in_it_stops_nobody(path: Path, pacing: SharedPacing, content: bytes) -> None:
    path.write_bytes(content)
    assert pacing.update(lambda value: value.reserved(1000.0)) == 1000.0


def test_times_of_another_boot_count_as_none(path: Path, pacing: SharedPacing) -> None:
    """The uptime begins anew: without that, a pause could last for weeks."""
    pause(pacing, 1030.0)
    path.write_bytes(bytes(16) + path.read_bytes()[16:])
    assert pacing.read() == Pacing()


def test_a_file_of_an_earlier_version_counts_and_its_programs_read_ours(path: Path, pacing: SharedPacing) -> None:
    """Theirs has one place, and so everybody's requests come after ours of the lowest priority."""
    pacing.update(lambda value: (value.spread(remaining=20, until=1010.0, now=1000.0), None))
    pacing.update(lambda value: value.reserved(1000.0, Priority.BACKGROUND))
    earlier = struct.Struct("<16s4d")
    boot, *theirs = earlier.unpack(path.read_bytes()[: earlier.size])
    assert theirs == [0.0, 0.5, 1010.0, 1000.5]
    path.write_bytes(earlier.pack(boot, 1005.0, 0.25, 1010.0, 1007.0))
    assert pacing.read() == Pacing(1005.0, 0.25, 1010.0, next_starts=(0.0, 0.0, 1007.0))


def test_no_time_lies_further_ahead_than_two_hours(pacing: SharedPacing) -> None:
    pause(pacing, 1000.0 + LATEST_SECONDS + 10)
    assert pacing.read() == Pacing()


def test_somebody_stopped_in_the_lock_stops_nobody(path: Path, pacing: SharedPacing) -> None:
    pause(pacing, 1030.0)
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert pacing.update(lambda value: value.reserved(1000.0)) == 1030.0


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    alone = SharedPacing(tmp_path / "nowhere" / "pacing", lambda: 1000.0)
    for _ in range(3):
        pause(alone, 1030.0)
        assert alone.read().paused_until == 1030.0
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "the rate limit is not shared with other processes"
    ]


def reserve(path: Path, barrier: Barrier, starts: "multiprocessing.SimpleQueue[list[float]]") -> None:
    # On a busy machine a holder of the lock is stopped in it, and the others would go on with what they know.
    shared_pacing._PATIENCE_SECONDS = 60.0
    pacing = SharedPacing(path, uptime)
    barrier.wait()
    starts.put([pacing.update(lambda value: value.reserved(uptime())) for _ in range(RESERVED)])


def test_processes_that_reserve_at_once_never_get_the_same_place(path: Path) -> None:
    now = uptime()
    SharedPacing(path, uptime).update(
        lambda value: (value.spread(remaining=2_000, until=now + 1_000, now=now), None)
    )
    context = multiprocessing.get_context("spawn")
    barrier, starts = context.Barrier(PROCESSES), context.SimpleQueue()
    children = [context.Process(target=reserve, args=(path, barrier, starts)) for _ in range(PROCESSES)]
    for child in children:
        child.start()
    found = sorted(start for _ in children for start in starts.get())
    for child in children:
        child.join(60)
    gaps = [after - before for before, after in pairwise(found)]
    assert len(found) == PROCESSES * RESERVED
    assert min(gaps) == pytest.approx(0.5, abs=0.01)
