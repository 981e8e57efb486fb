"""What can go wrong with the ledger, for callers that must tell one cause from another.

::

    LedgerError                 code LEDGER_ERROR: disk full, file damaged, folder not writable, …
    ├── LockTimeoutError        code LOCK_TIMEOUT: somebody else held the ledger for too long
    ├── LedgerVersionError      a newer program migrated it, and this one must leave it as it is
    ├── NotALedgerError         the file is there but is no DuckDB database
    ├── LedgerDamagedError      it is one, but parts of it can no longer be read or written
    ├── LedgerGoneError         it was there when this process last looked, and is gone
    ├── LedgerReplacedError     it is not the one in which this run began
    ├── BackupRefusedError      a backup to this place would overwrite something
    ├── LedgerMissingError      a read, and nothing was ever written
    ├── AmbiguousRunError       a run id prefix that fits several runs
    ├── WaitAbandonedError      the wait for the lock was called off; nothing was written
    └── RunLostError            code WORKER_LOST: the run's row is no longer ``running``
    ReaderSqlError              a reader's own SQL is wrong; nothing is wrong with the ledger
"""

from pathlib import Path

from surgical_pipeline.domain.failures import FailureCode


class LedgerError(Exception):
    """The ledger could not be read or written. ``code`` is what a run records for it."""

    code: FailureCode = FailureCode.LEDGER_ERROR


class LockTimeoutError(LedgerError):
    """Nothing was read or written.

    ``waited``: seconds; ``path``: the ledger that others held; ``holder``: the program that has the file open,
    None if it was other runs.
    """

    code = FailureCode.LOCK_TIMEOUT

    def __init__(self, path: Path | str, waited: float, *, holder: str | None = None) -> None:
        self.path = path
        self.waited = waited
        self.holder = holder
        advice = "Close the file there" if holder else "Retry when the other runs are done"
        super().__init__(
            f"The ledger {path} was held by {holder or 'other runs'} for {waited:.1f} s, longer than the limit. "
            f"{advice}, or set SURGICAL_LOCK_TIMEOUT_SECONDS higher."
        )


class LedgerVersionError(LedgerError):
    """``found``: schema version of the ledger; ``known``: the newest that this program knows.

    ``needed``: what a program must know at least; less than ``found`` if the newest migrations tolerate older
    programs.
    """

    def __init__(self, path: Path | str, *, found: int, known: int, needed: int) -> None:
        self.path = path
        self.found = found
        self.known = known
        self.needed = needed
        super().__init__(
            f"The ledger {path} has schema version {found}, this program knows versions up to {known} and would "
            f"have to know {needed}. Nothing was changed. "
            "Update surgical-pipeline, or point SURGICAL_LEDGER at another ledger."
        )


class NotALedgerError(LedgerError):
    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} cannot be used as a ledger: {reason}. "
            "Point SURGICAL_LEDGER at another file, or restore this one from a backup."
        )


class LedgerDamagedError(LedgerError):
    """``reason``: in DuckDB's words."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"The ledger {path} is damaged: {reason}. Nothing of this step was kept. "
            "Run `surgical-pipeline ledger check`; `surgical-pipeline ledger compact` mends damaged indexes; "
            "for anything else restore the file from a backup."
        )


class LedgerGoneError(LedgerError):
    """No new one is created in its place: it would lack the run's own row."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        super().__init__(
            f"The ledger {path} was there and is gone: it was deleted, emptied or moved away. "
            "Put it back, or restore it from a backup, then retry; a process started anew makes an empty one."
        )


class LedgerReplacedError(LedgerError):
    """The run's row is missing, or was recreated from what Dagster knows of it. Write nothing more for it."""

    def __init__(self, location: str, run_id: str) -> None:
        super().__init__(
            f"The ledger {location} is not the one in which run {run_id} began: another was put in its place. "
            "Retry the run, then what it wrote before is written here, too."
        )


class BackupRefusedError(LedgerError):
    """Nothing was written."""


class LedgerMissingError(LedgerError):
    def __init__(self, path: Path | str) -> None:
        self.path = path
        super().__init__(f"There is no ledger at {path} yet. The first run makes it; or check SURGICAL_LEDGER.")


class AmbiguousRunError(LedgerError):
    """``candidates``: the ids of some of the runs that the prefix fits, newest first."""

    def __init__(self, prefix: str, candidates: tuple[str, ...]) -> None:
        self.prefix = prefix
        self.candidates = candidates
        super().__init__(f"Several runs begin with {prefix!r}: {', '.join(candidates)}. Give more of the id.")


class WaitAbandonedError(LedgerError):
    """The wait for the lock was cancelled from outside; nothing was read or written."""


class RunLostError(LedgerError):
    """The run's row is no longer ``running``: cancelled, or given up for lost. Write nothing more."""

    code = FailureCode.WORKER_LOST

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(
            f"Run {run_id} is no longer running in the ledger: it was cancelled, or given up because its "
            "heartbeat stopped. Nothing more is written for it; start it again if it is still wanted."
        )


class ReaderSqlError(Exception):
    """In the database's words."""
