"""Dagster's instance in DAGSTER_HOME, as our commands open it: created by one at a time, its faults reported."""

import fcntl
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg
import yaml
from sqlalchemy.exc import DBAPIError

from surgical_pipeline.defs.dagster_internals import SqlRunStorage
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.disk import allocated
from surgical_pipeline.settings import DagsterHomeError, Settings

LOCK_NAME = ".surgical-pipeline.lock"
PRUNE_LOCK_NAME = ".surgical-pipeline.prune.lock"
_ROOM = 256 * 1024
_WORTH_BYTES = 1_000_000
_QUICK_BYTES = 256_000_000
"""What SQLite rewrites in a second or two."""
_PATIENCE_SECONDS = 5.0
_TRIES = 10
_PAUSE_SECONDS = 0.2
_MADE_BESIDE_US = ("already exists", "database is locked", "UNIQUE constraint failed: alembic_version")
_FULL = ("full", "No space left", "File too large", "disk I/O error")
_DAMAGED = ("not a database", "malformed")
_NOT_FILES = (
    "It is the database that dagster.yaml names under storage: is it there, and do host, user and password agree?"
)


@contextmanager
def opened_instance() -> Iterator[dg.DagsterInstance]:
    """The instance that ``DAGSTER_HOME`` names, open until the block ends; created if it does not exist yet.

    Raises:
        SettingsError: DAGSTER_HOME names no folder.
        DagsterHomeError: its storage cannot be made, read or written, now or within the block.
    """
    home = Settings.from_environment().dagster_home
    with _making_errors(home), alone_in(home):
        instance = _made()
        id_of(instance)
    with instance, _database_errors(home):
        yield instance


def id_of(instance: dg.DagsterInstance) -> str | None:
    """The instance's name in the rows of its runs: `SURGICAL_DAGSTER_INSTANCE`, else its storage's own id.

    All processes that share Dagster's storage, on any machine, have the same name. None: the storage has no id.
    """
    named = Settings.from_environment().dagster_instance
    if named:
        return named
    storage = instance.run_storage
    if not isinstance(storage, SqlRunStorage):
        return None
    storage.get_run_storage_id()
    # The first call creates the id if needed; if several do so at once, the second call returns the same to all.
    return storage.get_run_storage_id()


def try_to_write() -> None:
    """Write into Dagster's storage and into its folder, as a run does.

    Raises:
        SettingsError, DagsterHomeError: as `opened_instance`.
    """
    home = Settings.from_environment().dagster_home
    with opened_instance() as instance, _making_errors(home):
        instance.run_storage.set_cursor_values({"surgical-pipeline doctor": utc_now().isoformat()})
        with tempfile.TemporaryFile(dir=home) as file:
            file.write(bytes(_ROOM))
            os.fsync(file.fileno())


@contextmanager
def alone_in_pruning(home: Path) -> Iterator[None]:
    """One prune of a DAGSTER_HOME at a time: the next one waits, and finds little to do."""
    with _making_errors(home), alone_in(home, PRUNE_LOCK_NAME):
        yield


def shrink(path: Path) -> int:
    """Give the free pages of one of Dagster's SQLite files back to the disk, if they are worth it; bytes.

    Dagster's processes wait for that long, so a file with much in it is left alone, and so is one that is in use.
    """
    if not path.is_file():
        return 0
    log = path.with_name(f"{path.name}-wal")
    before = allocated(path) + allocated(log)
    try:
        with closing(sqlite3.connect(path, timeout=_PATIENCE_SECONDS, isolation_level=None)) as connection:
            pages, free, page_size = (
                int(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
            worth_it = free * page_size >= _WORTH_BYTES and free * 4 >= pages
            if not worth_it or (pages - free) * page_size > _QUICK_BYTES:
                return 0
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError:
        return 0
    return max(0, before - allocated(path) - allocated(log))


@contextmanager
def alone_in(home: Path, name: str = LOCK_NAME) -> Iterator[None]:
    """One of our processes at a time: if several make Dagster's files at once, all but one fail.

    And if several ask for the same backfill at once, all but one find it.
    """
    descriptor = os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _made() -> dg.DagsterInstance:
    """Dagster's own processes ignore our lock and may be creating the same files."""
    for _ in range(_TRIES):
        try:
            return dg.DagsterInstance.get()
        except DBAPIError as error:
            if not any(text in str(error) for text in _MADE_BESIDE_US):
                raise
        time.sleep(_PAUSE_SECONDS)
    return dg.DagsterInstance.get()


@contextmanager
def _making_errors(home: Path) -> Iterator[None]:
    try:
        with _database_errors(home):
            yield
    except (OSError, dg.DagsterError, yaml.YAMLError) as error:
        raise _fault(home, error) from error


@contextmanager
def _database_errors(home: Path) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        raise _fault(home, error) from error
    except Exception as error:
        # dagster-postgres, which need not be installed, has a class of its own for a database that is not there.
        if not isinstance(error.__cause__, DBAPIError):
            raise
        raise _fault(home, error.__cause__) from error


def _fault(home: Path, error: Exception) -> DagsterHomeError:
    if isinstance(error, OSError):
        reason = f"{error.strerror}: {error.filename}"
    else:
        told = error.orig if isinstance(error, DBAPIError) else error
        reason = " ".join(str(told).split()).rstrip(".")
    elsewhere = isinstance(error, DBAPIError) and not isinstance(error.orig, sqlite3.Error)
    advice = _NOT_FILES if elsewhere else _advice(reason)
    return DagsterHomeError(f"Dagster's storage in DAGSTER_HOME {home} cannot be used: {reason}. {advice}")


def _advice(reason: str) -> str:
    if any(text in reason for text in _FULL):
        return "Free space on its disk, then retry."
    if any(text in reason for text in _DAMAGED):
        return (
            "Restore the folders history and schedules from a backup, or move them away: Dagster makes new ones "
            "and forgets its runs; the ledger keeps them."
        )
    return "Give this user the right to write the folder and what is in it, or set DAGSTER_HOME to another."
