"""The folder of published versions: ``versions/<n>/``, and ``current``, a link to one of them.

A version never changes once it has its name. ``current`` is replaced by rename, so it always leads to a whole one.
"""

import fcntl
import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from surgical_pipeline.dataset.errors import PublishRefusedError

CURRENT = "current"
VERSIONS = "versions"
DATABASE = "gitlab.duckdb"
PARQUET = "parquet"
_LOCK_RETRY_SECONDS = 0.1
UNFINISHED = ".unfinished-"
"""Begins the name of a version's folder until it is whole, and again when it goes."""


def current_version(folder: Path) -> Path | None:
    """The folder of the current version, its link resolved; None: nothing is published."""
    link = folder / CURRENT
    try:
        return link.resolve(strict=True)
    except (OSError, RuntimeError):
        return None


def version_numbers(folder: Path) -> list[int]:
    """All versions that are there, ascending."""
    try:
        names = [path.name for path in (folder / VERSIONS).iterdir()]
    except FileNotFoundError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def make_current(folder: Path, number: int) -> None:
    """Let ``current`` lead to that version, in one step."""
    fresh = folder / f".{CURRENT}-{number}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(Path(VERSIONS) / str(number), target_is_directory=True)
    fresh.replace(folder / CURRENT)
    flush(folder)


def remove_leftovers(folder: Path) -> None:
    """What publishes left behind that were killed. Nobody else may be publishing."""
    for path in (folder / VERSIONS).glob(f"{UNFINISHED}*"):
        shutil.rmtree(path)
    for path in folder.glob(f".{CURRENT}-*"):
        path.unlink()


def remove_old(folder: Path, *, at_once: Callable[[Path], bool] = lambda _version: False) -> list[int]:
    """Remove versions that nobody needs any more; gives their numbers.

    Kept are the current one, the one before, which a reader may just be opening, and those that a program has
    open. What is no version of ours stays, too. ``at_once``: of what must not stay even so.
    """
    current = current_version(folder)
    if current is None:
        return []
    before = [number for number in version_numbers(folder) if number < int(current.name)]
    removed = []
    for number in before:
        version = folder / VERSIONS / str(number)
        if not (version / "manifest.json").is_file():
            continue
        if not at_once(version) and (number == before[-1] or _in_use(version / DATABASE)):
            continue
        with suppress(OSError):  # the new version is published already; the next publish tries again
            going = version.with_name(f"{UNFINISHED}{number}")
            version.rename(going)
            removed.append(number)
            shutil.rmtree(going)
    return removed


@contextmanager
def publishing_alone(folder: Path, *, timeout_seconds: float) -> Iterator[None]:
    """Hold the folder's lock, so that only one process publishes there.

    Raises:
        PublishRefusedError: another has been publishing for that long.
        OSError: the lock file cannot be made.
    """
    deadline = time.monotonic() + timeout_seconds
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise PublishRefusedError(f"Another process is publishing to {folder}: wait for it") from error
                time.sleep(_LOCK_RETRY_SECONDS)
        yield
    finally:
        os.close(lock)


def flush(path: Path) -> None:
    """Flush a file's content or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _in_use(database: Path) -> bool:
    """Whether another process has the database open: DuckDB then holds a lock on it."""
    try:
        with database.open("rb") as file:
            asked = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(file, fcntl.F_GETLK, asked)
    except OSError:
        return False
    return int(struct.unpack_from("@h", answer)[0]) != fcntl.F_UNLCK
