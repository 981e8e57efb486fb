"""What PostgreSQL's errors mean for the ledger: which of our errors they become, and what to do about each."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from surgical_pipeline.ledger.errors import LedgerDamagedError, LedgerError, LockTimeoutError

_DAMAGE = (errors.DataCorrupted, errors.IndexCorrupted)
_TEXTS = {
    (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation): (
        "The ledger {shown} could not be written, another run wrote the same at the same moment: {reason}. "
        "Nothing of this step was kept; retry."
    ),
    (errors.DiskFull, errors.OutOfMemory): (
        "The ledger {shown} could not be written, its server has no space: {reason}. "
        "Free space and retry; nothing of this step was kept, what was written before it stands."
    ),
    (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction): (
        "The ledger {shown} could not be read or written, this user may not: {reason}. Give the user the right to "
        "create schemas in the database, or to use those that are there; nothing of this step was kept."
    ),
    (psycopg.OperationalError, errors.IdleInTransactionSessionTimeout): (
        "The ledger {shown} cannot be reached: {reason}. Check that the server runs and takes connections of this "
        "user; nothing of this step was kept."
    ),
}
"""Which errors, from the particular to the general, and what is said of each."""


@contextmanager
def storage_errors(shown: str, *, timeout_seconds: float) -> Iterator[None]:
    """Turn what a lost connection, a full disk, a wait or missing rights raise into a LedgerError with advice.

    ``shown``: the ledger's address without its password. Other errors are our own bugs and pass through.
    """
    try:
        yield
    except psycopg.Error as error:
        found = fault(shown, error, timeout_seconds=timeout_seconds)
        if found is None:
            raise
        raise found from error


def fault(shown: str, error: psycopg.Error, *, timeout_seconds: float) -> LedgerError | None:
    """What went wrong; None: a bug of ours."""
    reason = reason_of(error)
    if isinstance(error, errors.LockNotAvailable):
        return LockTimeoutError(shown, timeout_seconds)
    if isinstance(error, _DAMAGE):
        return LedgerDamagedError(shown, reason)
    for kinds, text in _TEXTS.items():
        if isinstance(error, kinds):
            return LedgerError(text.format(shown=shown, reason=reason))
    return None


def reason_of(error: psycopg.Error) -> str:
    """PostgreSQL's words, on one line."""
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0].rstrip(".")
