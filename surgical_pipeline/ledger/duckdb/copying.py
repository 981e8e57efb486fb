"""The ledger's file and its log, copied while the lock is held: for backups and for published copies."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

from surgical_pipeline.ledger.duckdb.file import make_empty, wal_bytes, wal_path
from surgical_pipeline.ledger.errors import LedgerError

_AT_ONCE = 1 << 30
_CANNOT_CLONE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF)


def copy_file_and_log(ledger: Path, destination: Path, *, mode: int) -> None:
    """Copy both; the ledger must be open for reading in this process, and its lock held.

    The log is copied first: closing our file releases the lock by which DuckDB keeps other programs out.

    Raises:
        OSError: the copy cannot be written.
        LedgerError: another file was put in the ledger's place meanwhile.
    """
    before = ledger.stat().st_ino
    make_empty(destination, mode=mode)
    if wal_bytes(ledger):
        make_empty(wal_path(destination), mode=mode)
        copy_bytes(wal_path(ledger), wal_path(destination))
    copy_bytes(ledger, destination)
    with contextlib.suppress(FileNotFoundError):
        if ledger.stat().st_ino == before:
            return
    raise LedgerError(f"Another file was put in the place of {ledger} while it was copied: try again.")


def copy_bytes(source: Path, destination: Path) -> None:
    """Copy a file's content, where the filesystem can without reading it (Btrfs, XFS), else in the kernel."""
    with source.open("rb") as read, destination.open("wb") as write:
        try:
            while os.copy_file_range(read.fileno(), write.fileno(), _AT_ONCE):
                pass
        except OSError as error:
            if error.errno not in _CANNOT_CLONE:
                raise
            read.seek(0)
            write.seek(0)
            shutil.copyfileobj(read, write, 1 << 20)
