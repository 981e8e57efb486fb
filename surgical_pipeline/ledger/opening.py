"""The one place that chooses what a ledger is stored in."""

from pathlib import Path

from surgical_pipeline.ledger.duckdb.file import wal_bytes
from surgical_pipeline.ledger.duckdb.leftovers import remove_leftovers
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import Settings


def open_ledger(settings: Settings, *, wait_at_most_seconds: float | None = None) -> Ledger:
    """The ledger that the settings name. Nothing is opened yet, and it need not exist.

    ``wait_at_most_seconds``: ends a wait for others after this time, if the settings would wait longer.

    Raises:
        SettingsError: the settings name no valid place for a ledger.
    """
    return open_ledger_file(settings, wait_at_most_seconds=wait_at_most_seconds)


def open_ledger_file(settings: Settings, *, wait_at_most_seconds: float | None = None) -> DuckDBLedger:
    """The same, for operations on a DuckDB file as a whole: backup, compaction."""
    timeout = settings.lock_timeout_seconds
    if wait_at_most_seconds is not None:
        timeout = min(timeout, wait_at_most_seconds)
    return DuckDBLedger(settings.ledger_path, lock_timeout_seconds=timeout)


class LedgerFiles:
    """The files of the ledger that the settings name, for those who tidy up and know nothing of how it is stored.

    Raises:
        SettingsError: as ``open_ledger``.
    """

    def __init__(self, settings: Settings) -> None:
        self._ledger = open_ledger_file(settings)

    @property
    def bytes(self) -> int:
        """Of the file with its log; 0 if there is none."""
        path: Path = self._ledger.path
        return (path.stat().st_size if path.exists() else 0) + wal_bytes(path)

    def fold_log_in(self) -> None:
        """So that space of deleted rows is used again; if that fails now, a later window does it."""
        if self._ledger.exists:
            self._ledger.checkpoint()

    def remove_leftovers(self, *, dry_run: bool) -> tuple[int, int]:
        """What killed backups and compactions left beside it: how many files, and their bytes on the disk.

        Raises:
            LedgerError: the ledger's lock cannot be had.
        """
        return remove_leftovers(self._ledger, dry_run=dry_run)
