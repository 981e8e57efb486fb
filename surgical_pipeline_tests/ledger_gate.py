"""The ledger's lock in the hands of a test: hold it in the moment that is wanted, and see who waits for it."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from surgical_pipeline_tests.dagster_dev import wait_until

LIMIT_SECONDS = 60
_PAUSE_SECONDS = 0.001
"""Shorter than any window: who releases the lock and asks again comes behind those who wait already."""


@dataclass(frozen=True)
class Row:
    """A row of ``sync_runs`` as plain DuckDB gives it; ``values`` has every column."""

    run_id: str
    status: str
    phase: str
    pid: int | None
    failure_code: str | None
    dagster_status: str | None
    values: dict[str, Any] = field(repr=False)

    @property
    def finished_at(self) -> datetime | None:
        found: datetime | None = self.values["finished_at"]
        return found


def rows_inside(ledger: Path) -> list[Row]:
    """Every run; the lock must be held."""
    if not ledger.exists() or not ledger.stat().st_size:
        return []
    with duckdb.connect(str(ledger), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute("FROM sync_runs ORDER BY COALESCE(queued_at, started_at)")
        names = [column[0] for column in found.description or ()]
        dicts = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return [
        Row(
            one["run_id"],
            status=one["status"],
            phase=one["phase"],
            pid=one["pid"],
            failure_code=one["failure_code"],
            dagster_status=one["dagster_status"],
            values=one,
        )
        for one in dicts
    ]


def rows(ledger: Path) -> dict[str, Row]:
    """Every run by id, read under the lock."""
    with held(ledger):
        return {one.run_id: one for one in rows_inside(ledger)}


def newest(ledger: Path) -> Row | None:
    return next(reversed(rows(ledger).values()), None)


@contextmanager
def held(ledger: Path) -> Iterator[None]:
    """Hold the lock alone, as a window does, once it is ours."""
    with _opened(ledger) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def held_when(ledger: Path, condition: Callable[[Row], bool]) -> Iterator[Row]:
    """Hold the lock alone from a moment in which ``condition`` is true of some run; gives that run.

    The kernel queues those who wait. So between any two windows of a run the lock comes by here, and a run that
    has just entered a stage can be kept there, before the stage's first window.

    Raises:
        AssertionError: there was no such moment within the limit.
    """
    with _opened(ledger) as descriptor:
        end = time.monotonic() + LIMIT_SECONDS
        seen = None
        while time.monotonic() < end:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if (present := _version(ledger)) != seen:
                seen = present
                found = [one for one in rows_inside(ledger) if condition(one)]
                if found:
                    yield found[0]
                    return
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError(f"no run was in that state within {LIMIT_SECONDS} s")


def is_free(ledger: Path) -> bool:
    """Whether nobody has the lock just now."""
    with _opened(ledger) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def has_lock(ledger: Path, pid: int) -> bool:
    """Whether the process has the lock just now."""
    return any(holds for holds, owner in _flocks(ledger) if owner == pid)


def waiting(ledger: Path, pid: int) -> int:
    """How often the process waits for the lock just now; an abandoned wait counts until it is over."""
    return sum(not holds for holds, owner in _flocks(ledger) if owner == pid)


def _flocks(ledger: Path) -> Iterator[tuple[bool, int]]:
    """Whether it is held (else: waited for), and by which process; proc_locks(5)."""
    inode = _lock_path(ledger).stat().st_ino
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        _, *words = line.split()
        holds = words[0] != "->"
        kind, _, _, owner, place = words[not holds :][:5]
        if kind == "FLOCK" and place.endswith(f":{inode}"):
            yield holds, int(owner)


def wait_until_waiting(ledger: Path, pid: int, *, times: int = 1) -> None:
    wait_until(
        lambda: waiting(ledger, pid) >= times,
        limit_seconds=LIMIT_SECONDS,
        what=f"process {pid} waits {times} times for the lock",
    )


def _version(ledger: Path) -> list[tuple[int, int]]:
    """Changes with every commit: to look inside costs so much that what is watched would not get on."""
    files = [path for path in (ledger, Path(f"{ledger}.wal")) if path.exists()]
    return [(stat.st_size, stat.st_mtime_ns) for stat in (path.stat() for path in files)]


@contextmanager
def _opened(ledger: Path) -> Iterator[int]:
    descriptor = os.open(_lock_path(ledger), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_path(ledger: Path) -> Path:
    return Path(f"{ledger}.lock")
