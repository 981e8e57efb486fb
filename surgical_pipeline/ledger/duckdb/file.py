"""The DuckDB file itself: making it, opening it, its schema version, its write-ahead log."""

import contextlib
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import duckdb

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.duckdb.faults import opening_fault
from surgical_pipeline.ledger.errors import (
    LedgerDamagedError,
    LedgerError,
    LockTimeoutError,
    WaitAbandonedError,
)
from surgical_pipeline.ledger.versions import migrations_due, newest_version

_LOG = logging.getLogger(__name__)
_FOREIGN_HOLDER = "Could not set lock on file"
_FOREIGN_RETRY_SECONDS = 0.1
_TELL_AFTER_SECONDS = 2.0
_HOLDER = re.compile(r"lock is held in (?P<program>.+?)(?: \(deleted\))? \(PID (?P<pid>\d+)\)")
PRIVATE = 0o600
"""Mode of a file that we make, regardless of the umask: it holds confidential text. Later changes are kept."""
_WAL_BEGINS = b"d\x00be"
T = TypeVar("T")

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    # Nothing may be downloaded while the lock is held.
    "autoinstall_known_extensions": "false",
    # Names in a reader's SQL are tables, and never variables of the program that happen to have that name.
    "python_enable_replacements": "false",
}


BLOCK_BYTES = 16_384
"""Block size of a new file. Small runs fill few blocks: 20 of them take 1.4 MB, with DuckDB's 256 KB 14.7 MB."""


def exists(path: Path) -> bool:
    """An empty file counts as none: a `touch`, or a kill at the wrong moment, leaves one."""
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def wal_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")


def wal_bytes(path: Path) -> int:
    """Size of the write-ahead log; 0 if there is none."""
    try:
        return wal_path(path).stat().st_size
    except FileNotFoundError:
        return 0


def create(path: Path) -> None:
    """Make an empty database in one step, so that a kill never leaves half a file. The lock must be held.

    Raises:
        LedgerError: the folder is missing, not writable or full.
    """
    fresh = path.with_name(f"{path.name}.new")
    try:
        for leftover in (fresh, wal_path(fresh)):
            leftover.unlink(missing_ok=True)
        if wal_path(path).exists():
            # A log whose database was deleted: useless to the new one, but not ours to delete.
            wal_path(path).replace(path.with_name(f"{path.name}.wal.orphan"))
        with contextlib.closing(
            duckdb.connect(str(fresh), config=CONFIG | {"default_block_size": BLOCK_BYTES})
        ) as connection:
            connection.execute("CHECKPOINT")
        fresh.chmod(PRIVATE)
        fresh.replace(path)
        flush(path.parent)
    except (OSError, duckdb.Error) as error:
        raise LedgerError(
            f"The ledger {path} cannot be made: {error}. "
            "Its folder must exist, be writable and have space; or set SURGICAL_LEDGER to a file elsewhere."
        ) from error


def make_log(path: Path) -> None:
    """Make the log that the next write needs, with the ledger's own mode: DuckDB would apply the umask.

    The file must be open for writing already: DuckDB removes an empty log when it opens a file.
    """
    make_empty(wal_path(path), mode=mode_of(path))


def make_empty(path: Path, *, mode: int) -> None:
    """An empty file of that mode, unless there is one already."""
    with contextlib.suppress(OSError):  # It exists, or the next write reports why it cannot be made.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def mode_of(path: Path) -> int:
    """The permissions of a file; those of a new one if there is none yet."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return PRIVATE


def flush(path: Path) -> None:
    """Flush a file's content or a folder's entries to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wait_for_strangers(
    path: Path,
    opening: Callable[[], T],
    *,
    timeout_seconds: float,
    cancelled: threading.Event | None = None,
    waited: Callable[[float], None] = lambda _seconds: None,
) -> T:
    """The result of ``opening``, once no program that ignores our lock has the file open.

    ``waited`` is called with the seconds spent waiting, even if this gives up. After two seconds the log names the
    program, and says again when the wait is over.

    Raises:
        LockTimeoutError: such a program, say a DuckDB shell, did not release it within ``timeout_seconds``.
        WaitAbandonedError: ``cancelled`` was set while waiting for it.
        LedgerError: the file is gone, no DuckDB database, damaged, or not ours to read or write.
    """
    _check_log(path)
    started = time.monotonic()
    held_for = 0.0
    told = False
    try:
        while True:
            try:
                opened = opening()
            except duckdb.Error as error:
                if _FOREIGN_HOLDER not in str(error):
                    raise opening_fault(path, error) from error
                held_for, holder = time.monotonic() - started, _holder(error)
                if held_for >= timeout_seconds:
                    raise LockTimeoutError(path, held_for, holder=holder) from error
                if held_for >= _TELL_AFTER_SECONDS and not told:
                    _LOG.warning("waiting for the ledger %s, which %s has open", path, holder)
                    told = True
                if (cancelled or threading.Event()).wait(_FOREIGN_RETRY_SECONDS):
                    raise WaitAbandonedError(f"The wait for the ledger {path} was called off.") from error
            else:
                if told:
                    _LOG.warning("the ledger %s is free again, after %.1f s", path, held_for)
                return opened
    finally:
        waited(held_for)


def _holder(error: duckdb.Error) -> str:
    """The program that has the file, as DuckDB names it."""
    match = _HOLDER.search(str(error))
    return f"{match['program']} (PID {match['pid']})" if match else "another program"


def _check_log(path: Path) -> None:
    """DuckDB silently drops a log that begins with anything else: it takes it for one that a kill cut off."""
    try:
        with wal_path(path).open("rb") as log:
            begins = log.read(len(_WAL_BEGINS))
    except OSError:
        return  # There is none, or DuckDB reports why it cannot be read.
    if begins.strip(b"\0") and not _WAL_BEGINS.startswith(begins):
        raise LedgerDamagedError(
            path, f"its log {wal_path(path)} is none; moving it away loses what was last written"
        )


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """0: the file has no schema yet. Ask outside a transaction: the error would end it."""
    try:
        row = connection.execute(sql.query("read_schema_version").text).fetchone()
    except duckdb.CatalogException:
        return 0
    return int(row[0]) if row else 0


def check_version(
    path: Path, connection: duckdb.DuckDBPyConnection, *, found: int, migrations: Sequence[sql.Migration]
) -> bool:
    """True if migrations are due; errors as ``migrations_due``."""

    def oldest_program() -> int:
        row = connection.execute(sql.query("read_oldest_program").text).fetchone()
        return int(row[0]) if row else 0

    return migrations_due(path, found=found, migrations=migrations, read_oldest_program=oldest_program)


def migrate(
    connection: duckdb.DuckDBPyConnection, migrations: Sequence[sql.Migration], *, found: int, now: datetime
) -> None:
    """Apply missing migrations, each with its record, in the caller's open transaction.

    The typed views hold no data. They are made anew each time, so that they never show an older version's columns.
    """
    for migration in migrations:
        if migration.version > found:
            connection.execute(migration.text)
            connection.execute(
                sql.query("record_migration").text,
                {"version": migration.version, "name": migration.name, "applied_at": now},
            )
            if migration.oldest_program < migration.version:
                connection.execute(
                    sql.query("record_oldest_program").text,
                    {"version": migration.version, "oldest_program": migration.oldest_program},
                )
            _LOG.info("ledger migrated to version %s (%s)", migration.version, migration.name)
    if newest_version(migrations) >= sql.VIEWS_SINCE:
        connection.execute(sql.views())
