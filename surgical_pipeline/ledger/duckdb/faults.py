"""What DuckDB's errors mean for the ledger's file: which of our errors they become, and what to do about each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from surgical_pipeline.ledger.errors import LedgerDamagedError, LedgerError, LedgerGoneError, NotALedgerError

_STORAGE_ERRORS = (duckdb.OperationalError, duckdb.InternalError, duckdb.FatalException)
_NO_SPACE = ("No space left on device", "File too large", "Disk quota exceeded")
_NO_PERMISSION = ("Permission denied", "Read-only file system", "Operation not permitted")
_MAGIC_END = 12


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a full disk, damage or lost permissions raise into a LedgerError that says what to do.

    Other DuckDB errors are our own bugs and pass through.
    """
    try:
        yield
    except duckdb.Error as error:
        # DuckDB reports a block with a wrong checksum by the bare base class.
        if isinstance(error, _STORAGE_ERRORS) or type(error) is duckdb.Error:
            raise fault(path, error) from error
        raise


def fault(path: Path, error: duckdb.Error) -> LedgerError:
    """What went wrong with a ledger that is open."""
    reason = str(error).partition("\n")[0].rstrip(".")
    if any(text in reason for text in _NO_SPACE):
        return LedgerError(
            f"The ledger {path} could not be written, its disk is full: {reason}. "
            "Free space and retry; nothing of this step was kept, what was written before it stands."
        )
    if any(text in reason for text in _NO_PERMISSION):
        return LedgerError(
            f"The ledger {path} could not be read or written, this user may not: {reason}. "
            "Give the user the right to write the file and its folder; nothing of this step was kept."
        )
    if _is_damage(error, reason):
        return LedgerDamagedError(path, reason)
    return LedgerError(
        f"The ledger {path} could not be read or written: {reason}. "
        "Check the disk's free space and the file's permissions; nothing of this step was kept."
    )


def opening_fault(path: Path, error: duckdb.Error) -> LedgerError:
    """What is wrong with a file that DuckDB would not open."""
    if not path.exists():
        return LedgerGoneError(path)
    check_magic(path)
    return fault(path, error)


def check_magic(path: Path) -> None:
    """Refuse a file whose first bytes are not DuckDB's: DuckDB would try other formats by its extensions.

    Raises:
        NotALedgerError: it is none.
        LedgerError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_MAGIC_END)
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be read: {error.strerror}. Give this user the right to read and write it."
        ) from error
    if head.startswith(b"SQLite"):
        raise NotALedgerError(path, "it is a SQLite database")
    if not head.endswith(b"DUCK"):
        raise NotALedgerError(path, "it is no DuckDB database, or its beginning was overwritten")


def _is_damage(error: duckdb.Error, reason: str) -> bool:
    if "Could not write" in reason:
        return False
    unreadable = "Could not read enough bytes" in reason or "replaying WAL" in reason
    return unreadable or not isinstance(error, duckdb.OperationalError)
