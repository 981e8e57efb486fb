"""The one place that chooses what a ledger is stored in."""

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
