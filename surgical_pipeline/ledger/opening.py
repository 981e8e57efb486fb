"""The one place that chooses what a ledger is stored in: a DuckDB file, or PostgreSQL if its address is one."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from surgical_pipeline.domain.outcomes import LockStats
from surgical_pipeline.ledger.duckdb.file import wal_bytes
from surgical_pipeline.ledger.duckdb.leftovers import remove_leftovers
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.settings import Settings, SettingsError

if TYPE_CHECKING:
    from surgical_pipeline.ledger.postgres.pacing import RequestPacing
    from surgical_pipeline.ledger.postgres.windows import PostgresLedger
    from surgical_pipeline.ledger.rows import RowLedger


def open_ledger(settings: Settings, *, wait_at_most_seconds: float | None = None) -> Ledger:
    """The ledger that the settings name. Nothing is opened yet, and it need not exist.

    ``wait_at_most_seconds``: ends a wait for others after this time, if the settings would wait longer.

    Raises:
        SettingsError: the settings name no valid place for a ledger.
    """
    if settings.ledger_address is not None:
        return open_postgres(settings, wait_at_most_seconds=wait_at_most_seconds)
    return open_ledger_file(settings, wait_at_most_seconds=wait_at_most_seconds)


def open_ledger_file(settings: Settings, *, wait_at_most_seconds: float | None = None) -> DuckDBLedger:
    """The same, for operations on a DuckDB file as a whole: backup, compaction.

    Raises:
        SettingsError: as above; or the ledger is in PostgreSQL.
    """
    return DuckDBLedger(settings.ledger_path, lock_timeout_seconds=_timeout(settings, wait_at_most_seconds))


def open_postgres(settings: Settings, *, wait_at_most_seconds: float | None = None) -> "PostgresLedger":
    """The same, for what only a ledger in PostgreSQL can do.

    Raises:
        SettingsError: the settings name none, or the extra ``postgres`` is not installed.
    """
    if settings.ledger_address is None:
        raise SettingsError("SURGICAL_LEDGER names no PostgreSQL database: write postgresql://user@host/database")
    try:
        from surgical_pipeline.ledger.postgres.address import Address  # noqa: PLC0415  an extra
        from surgical_pipeline.ledger.postgres.windows import PostgresLedger  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "a ledger in PostgreSQL needs the extra postgres: pip install 'surgical-pipeline[postgres]'"
        ) from error
    try:
        address = Address.parse(settings.ledger_address.get_secret_value())
    except LedgerError as error:
        raise SettingsError(str(error)) from None
    return PostgresLedger(address, lock_timeout_seconds=_timeout(settings, wait_at_most_seconds))


def open_request_pacing(settings: Settings) -> "RequestPacing | None":
    """Where machines that share a ledger share when requests to GitLab may begin; nothing is opened yet.

    None: the ledger is a file, or the settings name none that could be used.
    """
    try:
        ledger = open_postgres(settings)
    except SettingsError:
        return None
    from surgical_pipeline.ledger.postgres.pacing import RequestPacing  # noqa: PLC0415  an extra

    return RequestPacing(ledger.address)


def open_rows(settings: Settings) -> "RowLedger":
    """The same, to be copied from or to.

    Raises:
        SettingsError: as ``open_ledger``.
    """
    if settings.ledger_address is None:
        from surgical_pipeline.ledger.duckdb.rows import DuckDBRows  # noqa: PLC0415  few starts need it

        return DuckDBRows(open_ledger_file(settings))
    ledger = open_postgres(settings)
    from surgical_pipeline.ledger.postgres.rows import PostgresRows  # noqa: PLC0415  an extra

    return PostgresRows(ledger)


class CopiedOut:
    """A ledger in PostgreSQL for those who want it as a DuckDB file: to publish it.

    Raises:
        SettingsError: as ``open_ledger``.
    """

    def __init__(self, settings: Settings) -> None:
        self._ledger = open_postgres(settings)
        self._rows = open_rows(settings)

    @property
    def stats(self) -> LockStats:
        return self._ledger.stats

    def read(self, purpose: str = "read") -> AbstractContextManager[Transaction]:
        return self._ledger.read(purpose)

    def copy_to(self, destination: Path, *, without: Collection[str] = ()) -> None:
        """Make a DuckDB file of what typed views show, as it was committed until now; nobody waits for it.

        ``without``: tables that nobody will read in the copy.

        Raises:
            LedgerError: the ledger is missing or cannot be read, or the file cannot be written.
        """
        from surgical_pipeline.ledger.copying import copy_to_read  # noqa: PLC0415  few starts need it
        from surgical_pipeline.ledger.duckdb.rows import DuckDBRows  # noqa: PLC0415

        made = DuckDBLedger(destination)
        copy_to_read(self._rows, DuckDBRows(made), without=without)
        made.checkpoint()


def open_copyable(settings: Settings) -> DuckDBLedger | CopiedOut:
    """The ledger that the settings name, for publishing.

    Raises:
        SettingsError: as ``open_ledger``.
    """
    return open_ledger_file(settings) if settings.ledger_address is None else CopiedOut(settings)


def _timeout(settings: Settings, wait_at_most_seconds: float | None) -> float:
    timeout = settings.lock_timeout_seconds
    return timeout if wait_at_most_seconds is None else min(timeout, wait_at_most_seconds)


class LedgerFiles:
    """What the ledger that the settings name takes on a disk, for those who tidy up and know nothing of how.

    Raises:
        SettingsError: as ``open_ledger``.
    """

    def __init__(self, settings: Settings) -> None:
        self._ledger = open_ledger(settings)

    @property
    def bytes(self) -> int:
        """Of the file with its log, or of the tables with their indexes; 0 if there is none.

        Raises:
            LedgerError: a server cannot be reached.
        """
        if isinstance(self._ledger, DuckDBLedger):
            path: Path = self._ledger.path
            return (path.stat().st_size if path.exists() else 0) + wal_bytes(path)
        if not self._ledger.exists:
            return 0
        with self._ledger.read("size") as tx:
            return int(tx.column("measure_ledger")[0])

    def fold_log_in(self) -> None:
        """So that space of deleted rows is used again; if that fails now, a later window does it.

        PostgreSQL does it by itself.
        """
        if isinstance(self._ledger, DuckDBLedger) and self._ledger.exists:
            self._ledger.checkpoint()

    def remove_leftovers(self, *, dry_run: bool) -> tuple[int, int]:
        """What killed backups and compactions left beside it: how many files, and their bytes on the disk.

        Raises:
            LedgerError: the ledger's lock cannot be had.
        """
        if not isinstance(self._ledger, DuckDBLedger):
            return 0, 0
        return remove_leftovers(self._ledger, dry_run=dry_run)
