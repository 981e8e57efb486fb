"""Windows on the ledger: lock, attach, BEGIN … COMMIT, detach, unlock, and count how long that took.

The DuckDB file is open only inside a window, because either one process writes it or many read it. So keep windows
short: no network call, no rendering and no embedding inside.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import duckdb

from surgical_pipeline.domain.outcomes import LockStats
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.clock import Clock, utc_now
from surgical_pipeline.ledger.duckdb import file as ledger_file
from surgical_pipeline.ledger.duckdb.copying import copy_file_and_log
from surgical_pipeline.ledger.duckdb.engine import engine_of
from surgical_pipeline.ledger.duckdb.faults import check_magic, storage_errors
from surgical_pipeline.ledger.duckdb.lock import locked
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.errors import LedgerError, LedgerGoneError, LedgerMissingError
from surgical_pipeline.ledger.off_event_loop import run_off_event_loop

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class DuckDBLedger:
    """`ledger.protocol.Ledger` in one DuckDB file. Making this object opens nothing; threads may share it.

    Args:
        path: of the DuckDB file; the first write makes it. Its folder must exist. Links are resolved once: the
            lock and the write-ahead log must be the same under every name of the file.
        lock_timeout_seconds: the longest wait in total, for the lock and for programs that ignore it.
        clock: gives ``Transaction.now``.
        migrations: the schema; other than the package's own only where migrating itself is tested.
    """

    def __init__(
        self,
        path: Path,
        *,
        lock_timeout_seconds: float = 60.0,
        clock: Clock = utc_now,
        migrations: Sequence[sql.Migration] | None = None,
    ) -> None:
        self.path = path.resolve()
        self.timeout_seconds = lock_timeout_seconds
        self._clock = clock
        self._migrations = migrations
        self._seen = False
        self._stats = LockStats()
        self._stats_guard = threading.Lock()
        self._engine = engine_of(self.path)

    @property
    def location(self) -> str:
        return str(self.path)

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def exists(self) -> bool:
        return ledger_file.exists(self.path)

    @property
    def stats(self) -> LockStats:
        with self._stats_guard:
            return self._stats

    @contextmanager
    def write(self, purpose: str, *, cancelled: threading.Event | None = None) -> Iterator[DuckDBTransaction]:
        with self._window(purpose, exclusive=True, cancelled=cancelled) as window:
            if not self._found():
                ledger_file.create(self.path)
                self._seen = True
            self._look_before_writing(window)
            with self._connection(window, read_only=False) as connection:
                found = ledger_file.schema_version(connection)
                due = ledger_file.check_version(self.path, connection, found=found, migrations=self.schema)
                ledger_file.make_log(self.path)
                with self._transaction(connection) as transaction:
                    if due:
                        ledger_file.migrate(connection, self.schema, found=found, now=transaction.now)
                    yield transaction
        if self._engine.checkpoints.due(ledger_file.wal_bytes(self.path)):
            self.checkpoint(cancelled=cancelled)

    @contextmanager
    def read(
        self, purpose: str = "read", *, cancelled: threading.Event | None = None
    ) -> Iterator[DuckDBTransaction]:
        self._must_exist()
        while True:
            with (
                self._window(purpose, exclusive=False, cancelled=cancelled) as window,
                self._connection(window, read_only=True) as connection,
            ):
                found = ledger_file.schema_version(connection)
                due = ledger_file.check_version(self.path, connection, found=found, migrations=self.schema)
                if not due:
                    with self._transaction(connection) as transaction:
                        yield transaction
                    return
            with self.write("migrate", cancelled=cancelled):
                pass

    @contextmanager
    def kept_still(self, *, exclusive: bool) -> Iterator[None]:
        """Hold the lock without opening the file: for operations on the file as a whole.

        Raises:
            LedgerMissingError: nothing was ever written.
            LockTimeoutError, LedgerError: as for ``write``.
        """
        with self._window("maintenance", exclusive=exclusive, cancelled=None):
            self._must_exist()
            yield

    def copy_to(self, destination: Path, *, without: Collection[str] = ()) -> None:  # noqa: ARG002  a file is whole
        """Copy the file and its log, as they are at one moment; writers wait while bytes are copied.

        The copy is for the owner only, whoever may read the ledger. It takes the place of a file that is there.

        Raises:
            LedgerMissingError: nothing was ever written.
            OSError: the copy cannot be written.
            LockTimeoutError, LedgerError: as for ``read``.
        """
        with self.kept_still(exclusive=False), self.opened(self.path, read_only=True):
            copy_file_and_log(self.path, destination, mode=ledger_file.PRIVATE)

    def opened(
        self, path: Path, *, read_only: bool
    ) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection without a transaction to this ledger's file, whose lock is held, or to a copy of it."""
        return engine_of(path).attached(read_only=read_only, timeout_seconds=self.timeout_seconds)

    def checkpoint(self, *, cancelled: threading.Event | None = None) -> None:
        """Fold the log in, in a window of its own; if that fails, a later window will."""
        began = time.monotonic()
        try:
            with self._window("checkpoint", exclusive=True, cancelled=cancelled) as window:
                began = time.monotonic()
                if not ledger_file.wal_bytes(self.path):
                    self._engine.checkpoints.attached(0.0, log_bytes=0)  # Another process folded it in.
                    return
                with (
                    self._connection(window, read_only=False) as connection,
                    storage_errors(self.path),
                ):
                    connection.execute("CHECKPOINT")
        except LedgerError as error:
            # The caller's write is committed already and must not seem to have failed.
            _LOG.warning("the ledger %s could not be checkpointed yet: %s", self.path, error)
        self._engine.checkpoints.tried((time.monotonic() - began) * 1000)

    def _found(self) -> bool:
        """Whether the file exists; remembered, because a file that disappears must not be silently recreated."""
        if self.exists:
            self._seen = True
        elif self._seen:
            raise LedgerGoneError(self.path)
        return self._seen

    def _must_exist(self) -> None:
        if not self._found():
            raise LedgerMissingError(self.path)

    def _look_before_writing(self, window: "_Window") -> None:
        """Refuse a foreign or newer file before opening it for writing, which may change it. Checked once."""
        inode = self.path.stat().st_ino
        if self._engine.looked_at == inode:
            return
        check_magic(self.path)
        with self._connection(window, read_only=True) as connection:
            found = ledger_file.schema_version(connection)
            ledger_file.check_version(self.path, connection, found=found, migrations=self.schema)
        self._engine.looked_at = inode

    async def in_write(self, purpose: str, work: Callable[[DuckDBTransaction], T]) -> T:
        def window(cancelled: threading.Event) -> T:
            with self.write(purpose, cancelled=cancelled) as transaction:
                return work(transaction)

        return await run_off_event_loop(window)

    async def in_read(self, purpose: str, work: Callable[[DuckDBTransaction], T]) -> T:
        def window(cancelled: threading.Event) -> T:
            with self.read(purpose, cancelled=cancelled) as transaction:
                return work(transaction)

        return await run_off_event_loop(window)

    @property
    def schema(self) -> Sequence[sql.Migration]:
        """The migrations that make a file current."""
        return sql.migrations() if self._migrations is None else self._migrations

    @contextmanager
    def _window(self, purpose: str, *, exclusive: bool, cancelled: threading.Event | None) -> Iterator["_Window"]:
        """Hold the lock and count the window."""
        self._engine.start()
        with locked(
            self.path, exclusive=exclusive, timeout_seconds=self.timeout_seconds, cancelled=cancelled
        ) as grant:
            window = _Window(grant.waited_ms, cancelled)
            started = time.monotonic()
            try:
                yield window
            finally:
                window.held_ms = (time.monotonic() - started) * 1000 - window.waited_for_strangers_ms
                with self._stats_guard:
                    self._stats += window.stats
        _LOG.debug("window %s: waited %.1f ms, held %.1f ms", purpose, window.stats.wait_ms, window.held_ms)

    def _connection(
        self, window: "_Window", *, read_only: bool
    ) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        return self._engine.attached(
            read_only=read_only,
            timeout_seconds=max(0.0, self.timeout_seconds - window.waited_for_lock_ms / 1000),
            cancelled=window.cancelled,
            waited=window.add_wait_for_strangers,
        )

    @contextmanager
    def _transaction(self, connection: duckdb.DuckDBPyConnection) -> Iterator[DuckDBTransaction]:
        with storage_errors(self.path):
            connection.execute("BEGIN TRANSACTION")
        transaction = DuckDBTransaction(connection, self.path, now=self._clock())
        try:
            yield transaction
            transaction.complete()
            with storage_errors(self.path):
                connection.execute("COMMIT")
            transaction.committed()
        except BaseException:
            # After a failed COMMIT there may be nothing left to roll back; closing drops the rest.
            with contextlib.suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            transaction.forget()
            raise


@dataclass(slots=True)
class _Window:
    """One turn at the lock. Waiting for a program that has the file open counts as waiting, too."""

    waited_for_lock_ms: float
    cancelled: threading.Event | None
    waited_for_strangers_ms: float = 0.0
    held_ms: float = 0.0

    def add_wait_for_strangers(self, seconds: float) -> None:
        self.waited_for_strangers_ms += seconds * 1000

    @property
    def stats(self) -> LockStats:
        waited = self.waited_for_lock_ms + self.waited_for_strangers_ms
        return LockStats(windows=1, wait_ms=waited, held_ms=self.held_ms, longest_held_ms=self.held_ms)
