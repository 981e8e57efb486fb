"""Windows on the ledger: lock, attach, BEGIN … COMMIT, detach, unlock, and count how long that took.

The DuckDB file is open only inside a window, because one process has it or many read it. So keep windows short:
no network call, no rendering and no embedding inside.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb

from surgical_pipeline.domain.outcomes import LockStats
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.clock import Clock, utc_now
from surgical_pipeline.ledger.duckdb import file as ledger_file
from surgical_pipeline.ledger.duckdb.engine import engine_of
from surgical_pipeline.ledger.duckdb.faults import check_magic, storage_errors
from surgical_pipeline.ledger.duckdb.lock import locked
from surgical_pipeline.ledger.duckdb.off_event_loop import run_off_event_loop
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.errors import LedgerError, LedgerGoneError, LedgerMissingError

CHECKPOINT_AT_BYTES = 3_000_000
"""Attaching takes 1 ms, and 45 ms more with 4 MB of write-ahead log to replay."""

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class DuckDBLedger:
    """`ledger.protocol.Ledger` in one DuckDB file. Making this object opens nothing; threads may share it.

    Args:
        path: of the DuckDB file; the first write makes it. Its folder must exist. Links are followed, once: the
            lock and the write-ahead log must be the same ones by whatever name the file goes.
        lock_timeout_seconds: the longest wait for the lock, and again for programs that do not know the lock.
        clock: tells ``Transaction.now``.
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
        self._looked = False
        self._stats = LockStats()
        self._stats_guard = threading.Lock()
        self._engine = engine_of(self.path)

    @property
    def location(self) -> str:
        return str(self.path)

    @property
    def exists(self) -> bool:
        return ledger_file.exists(self.path)

    @property
    def stats(self) -> LockStats:
        with self._stats_guard:
            return self._stats

    @contextmanager
    def write(self, purpose: str, *, cancelled: threading.Event | None = None) -> Iterator[DuckDBTransaction]:
        with self._window(purpose, exclusive=True, cancelled=cancelled):
            if not self._found():
                ledger_file.create(self.path)
                self._seen = True
            self._look_before_writing(cancelled)
            with self._connection(read_only=False, cancelled=cancelled) as connection:
                found = ledger_file.schema_version(connection)
                due = ledger_file.check_version(self.path, found=found, migrations=self.schema)
                ledger_file.make_log(self.path)
                with self._transaction(connection) as transaction:
                    if due:
                        ledger_file.migrate(connection, self.schema, found=found, now=transaction.now)
                    yield transaction
        if ledger_file.wal_bytes(self.path) > CHECKPOINT_AT_BYTES:
            self.checkpoint(at_bytes=CHECKPOINT_AT_BYTES, cancelled=cancelled)

    @contextmanager
    def read(
        self, purpose: str = "read", *, cancelled: threading.Event | None = None
    ) -> Iterator[DuckDBTransaction]:
        self._must_exist()
        while True:
            with (
                self._window(purpose, exclusive=False, cancelled=cancelled),
                self._connection(read_only=True, cancelled=cancelled) as connection,
            ):
                found = ledger_file.schema_version(connection)
                if not ledger_file.check_version(self.path, found=found, migrations=self.schema):
                    with self._transaction(connection) as transaction:
                        yield transaction
                    return
            with self.write("migrate", cancelled=cancelled):
                pass

    @contextmanager
    def kept_still(self, *, exclusive: bool) -> Iterator[None]:
        """The lock and nothing opened: for what is done to the file as a whole.

        Raises:
            LedgerMissingError: nothing was ever written.
            LockTimeoutError, LedgerError: as for ``write``.
        """
        with self._window("maintenance", exclusive=exclusive, cancelled=None):
            self._must_exist()
            yield

    def opened(
        self, path: Path, *, read_only: bool
    ) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A connection without a transaction to this ledger's file, whose lock is held, or to a copy of it."""
        return engine_of(path).attached(read_only=read_only, timeout_seconds=self.timeout_seconds)

    def checkpoint(self, *, at_bytes: int = 0, cancelled: threading.Event | None = None) -> None:
        """Fold a log longer than ``at_bytes`` in, in a window of its own; if it cannot, a later one will."""
        try:
            with self._window("checkpoint", exclusive=True, cancelled=cancelled):
                if ledger_file.wal_bytes(self.path) <= at_bytes:
                    return
                with (
                    self._connection(read_only=False, cancelled=cancelled) as connection,
                    storage_errors(self.path),
                ):
                    connection.execute("CHECKPOINT")
        except LedgerError as error:
            # The caller's write is committed already and must not seem to have failed.
            _LOG.warning("the ledger %s could not be checkpointed yet: %s", self.path, error)

    def _found(self) -> bool:
        """Whether there is a file; remembered, because one that was there must not be silently made anew."""
        if self.exists:
            self._seen = True
        elif self._seen:
            raise LedgerGoneError(self.path)
        return self._seen

    def _must_exist(self) -> None:
        if not self._found():
            raise LedgerMissingError(self.path)

    def _look_before_writing(self, cancelled: threading.Event | None) -> None:
        """Refuse a foreign or newer file before it is opened for writing, which may change it; once is enough."""
        if self._looked:
            return
        check_magic(self.path)
        with self._connection(read_only=True, cancelled=cancelled) as connection:
            found = ledger_file.schema_version(connection)
        ledger_file.check_version(self.path, found=found, migrations=self.schema)
        self._looked = True

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
    def _window(self, purpose: str, *, exclusive: bool, cancelled: threading.Event | None) -> Iterator[None]:
        """Hold the lock and count the window."""
        with locked(
            self.path, exclusive=exclusive, timeout_seconds=self.timeout_seconds, cancelled=cancelled
        ) as grant:
            started = time.monotonic()
            try:
                yield
            finally:
                held_ms = (time.monotonic() - started) * 1000
                window = LockStats(windows=1, wait_ms=grant.waited_ms, held_ms=held_ms, longest_held_ms=held_ms)
                with self._stats_guard:
                    self._stats += window
        _LOG.debug("window %s: waited %.1f ms, held %.1f ms", purpose, grant.waited_ms, held_ms)

    def _connection(
        self, *, read_only: bool, cancelled: threading.Event | None
    ) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        return self._engine.attached(
            read_only=read_only, timeout_seconds=self.timeout_seconds, cancelled=cancelled
        )

    @contextmanager
    def _transaction(self, connection: duckdb.DuckDBPyConnection) -> Iterator[DuckDBTransaction]:
        with storage_errors(self.path):
            connection.execute("BEGIN TRANSACTION")
        transaction = DuckDBTransaction(connection, self.path, now=self._clock())
        try:
            yield transaction
            with storage_errors(self.path):
                connection.execute("COMMIT")
        except BaseException:
            # After a failed COMMIT there may be nothing left to roll back; closing drops the rest.
            with contextlib.suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            transaction.forget()
            raise
