"""Whether something grows that should not: memory of each process, files and bytes, looked at again and again."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from surgical_pipeline.ledger.disk import allocated, count_files

_MB = 1e6
_WARM_UP = 1 / 4
"""Of its samples: a process that has just started grows until it has seen everything once."""
_ROLES = (
    ("dagster's daemon", "dagster._daemon"),
    ("dagster's webserver", "dagster_webserver"),
    ("dagster's code server", "api grpc"),
    ("the receiver", "webhook serve"),
)


@dataclass(frozen=True)
class Memory:
    """Of the process of that role that lived longest. ``slope``: MB an hour, after it has warmed up."""

    role: str
    minutes: float
    first_mb: float
    last_mb: float
    slope: float


@dataclass
class Growth:
    """What was seen: by role and pid, seconds and bytes; of the home, seconds, files, bytes and the ledger's."""

    processes: dict[tuple[str, int], list[tuple[float, int]]] = field(default_factory=dict)
    home: list[tuple[float, int, int, int]] = field(default_factory=list)

    def memories(self) -> list[Memory]:
        """One for each role that was seen often enough, by role."""
        longest: dict[str, list[tuple[float, int]]] = {}
        for (role, _), seen in self.processes.items():
            if len(seen) > len(longest.get(role, [()] * 3)):
                longest[role] = seen
        return [_memory(role, seen) for role, seen in sorted(longest.items())]

    def most_files(self, start: float, end: float) -> int:
        """In this part of the time, given as shares of it."""
        part = self.home[int(len(self.home) * start) : int(len(self.home) * end)] or self.home[-1:]
        return max((files for _, files, _, _ in part), default=0)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line through the points that fits best; 0 for fewer than two moments."""
    if len({at for at, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression([at for at, _ in points], [value for _, value in points]).slope


def _memory(role: str, seen: Sequence[tuple[float, int]]) -> Memory:
    warm = seen[int(len(seen) * _WARM_UP) :]
    hours = [(at / 3600, bytes_ / _MB) for at, bytes_ in warm]
    minutes = (seen[-1][0] - seen[0][0]) / 60
    return Memory(role, minutes, seen[0][1] / _MB, seen[-1][1] / _MB, slope(hours))


@contextmanager
def watched(home: Path, roots: Callable[[], Sequence[int]], *, every_seconds: float) -> Iterator[Growth]:
    """Look at the processes below these pids, at this one and at the home, in a thread, until the block ends."""
    growth, stop, began = Growth(), threading.Event(), time.monotonic()

    def look() -> None:
        while not stop.wait(every_seconds):
            now = time.monotonic() - began
            for role, process in _processes(roots()):
                with suppress(psutil.Error):
                    seen = growth.processes.setdefault((role, process.pid), [])
                    seen.append((now, process.memory_info().rss))
            ledger = sum(allocated(home / name) for name in ("ledger.duckdb", "ledger.duckdb.wal"))
            growth.home.append((now, count_files(home), allocated(home), ledger))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield growth
    finally:
        stop.set()
        thread.join()


def _processes(roots: Sequence[int]) -> Iterator[tuple[str, psutil.Process]]:
    yield "this process, with the sandbox", psutil.Process()
    for root in roots:
        with suppress(psutil.Error):
            for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
                with suppress(psutil.Error):
                    command = " ".join(process.cmdline())
                    for role, part in _ROLES:
                        if part in command:
                            yield role, process
                            break
