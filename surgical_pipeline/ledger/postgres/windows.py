"""Windows on a ledger in PostgreSQL: each is a transaction on a connection of its own. There is no lock over all.

A window that writes sees what others have committed, statement by statement, and its guards are single statements;
where more is needed, `turns` tells. A window that reads sees one moment.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from surgical_pipeline.domain.outcomes import LockStats
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.clock import Clock
from surgical_pipeline.ledger.errors import LedgerError, LedgerGoneError, LedgerMissingError, WaitAbandonedError
from surgical_pipeline.ledger.off_event_loop import run_off_event_loop
from surgical_pipeline.ledger.postgres.address import Address
from surgical_pipeline.ledger.postgres.connections import Connection, close, connections_to
from surgical_pipeline.ledger.postgres.faults import fault, storage_errors
from surgical_pipeline.ledger.postgres.schema import Look, look, migrate, oldest_program, views_are_due
from surgical_pipeline.ledger.postgres.statements import DATABASE, bare
from surgical_pipeline.ledger.postgres.transaction import PostgresTransaction
from surgical_pipeline.ledger.versions import migrations_due

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
_windows_of_this_thread = threading.local()


class PostgresLedger:
    """`ledger.protocol.Ledger` in a PostgreSQL database. Making this object opens nothing; threads may share it.

    Args:
        address: of the database; the first write makes the tables, in a schema of their own.
        lock_timeout_seconds: the longest wait for rows that another window has locked, and for a server that was
            there before.
        clock: gives ``Transaction.now``; None: the server's own, so that all machines have the same.
        migrations: the schema; other than the package's own only where migrating itself is tested.
    """

    def __init__(
        self,
        address: Address,
        *,
        lock_timeout_seconds: float = 60.0,
        clock: Clock | None = None,
        migrations: Sequence[sql.Migration] | None = None,
    ) -> None:
        self.address = address
        self.timeout_seconds = lock_timeout_seconds
        self._given_clock = clock
        self._migrations = migrations
        self._seen = False
        self._prepared = False
        self._stats = LockStats()
        self._guard = threading.Lock()
        self._server_time: tuple[datetime, float] | None = None
        self._connections = connections_to(address)

    @property
    def location(self) -> str:
        return self.address.shown

    @property
    def exists(self) -> bool:
        """True also if the server cannot be reached: what is done next says why."""
        try:
            with self._transaction("exists", writes=False) as (_, found, _):
                return found.version > 0
        except LedgerError:
            return True

    @property
    def stats(self) -> LockStats:
        with self._guard:
            return self._stats

    @property
    def schema(self) -> Sequence[sql.Migration]:
        """The migrations that make a ledger current."""
        return sql.migrations(DATABASE) if self._migrations is None else self._migrations

    @property
    def clock(self) -> Clock:
        return self._given_clock or self._time

    def _time(self) -> datetime:
        """The server's time, counted on by this machine's uptime: no machine's clock matters.

        Raises:
            LedgerError: the server has not told it yet, and cannot be reached.
        """
        if self._server_time is None:
            with self._transaction("clock", writes=False):
                pass
        if self._server_time is None:
            raise AssertionError("a window was opened, and the server's time is not known")
        told, at = self._server_time
        return told + timedelta(seconds=time.monotonic() - at)

    @contextmanager
    def write(self, purpose: str, *, cancelled: threading.Event | None = None) -> Iterator[PostgresTransaction]:
        self._migrate_if_due(cancelled)
        with self._transaction(purpose, writes=True, cancelled=cancelled) as (transaction, found, connection):
            self._check(found, connection)
            yield transaction

    @contextmanager
    def read(
        self, purpose: str = "read", *, cancelled: threading.Event | None = None
    ) -> Iterator[PostgresTransaction]:
        while True:
            with self._transaction(purpose, writes=False, cancelled=cancelled) as (transaction, found, connection):
                if found.version == 0:
                    raise LedgerGoneError(self.location) if self._seen else LedgerMissingError(self.location)
                if not self._check(found, connection):
                    yield transaction
                    return
            self._migrate_if_due(cancelled)

    async def in_write(self, purpose: str, work: Callable[[PostgresTransaction], T]) -> T:
        def window(cancelled: threading.Event) -> T:
            with self.write(purpose, cancelled=cancelled) as transaction:
                return work(transaction)

        return await run_off_event_loop(window)

    async def in_read(self, purpose: str, work: Callable[[PostgresTransaction], T]) -> T:
        def window(cancelled: threading.Event) -> T:
            with self.read(purpose, cancelled=cancelled) as transaction:
                return work(transaction)

        return await run_off_event_loop(window)

    def close(self) -> None:
        """Close the connections that no window uses now; the next window makes another."""
        self._connections.forget()

    def _check(self, found: Look, connection: Connection) -> bool:
        """True if migrations are due; errors as ``migrations_due``."""
        due = migrations_due(
            self.location,
            found=found.version,
            migrations=self.schema,
            read_oldest_program=lambda: oldest_program(connection),
        )
        self._seen = self._seen or not due
        return due

    def _migrate_if_due(self, cancelled: threading.Event | None) -> None:
        """In a transaction of its own: what is migrated is locked until its end."""
        if self._prepared:
            return
        with self._transaction("migrate", writes=True, cancelled=cancelled, count=False) as (
            _,
            found,
            connection,
        ):
            if self._check(found, connection) or views_are_due(found, self.schema):
                with storage_errors(self.location, timeout_seconds=self.timeout_seconds):
                    now = None if self._given_clock is None else self._given_clock()
                    migrate(connection, self.schema, now=now)
        self._seen = self._prepared = True

    @contextmanager
    def _transaction(
        self, purpose: str, *, writes: bool, cancelled: threading.Event | None = None, count: bool = True
    ) -> Iterator[tuple[PostgresTransaction, Look, Connection]]:
        """An open transaction, the schema as it is and the connection; committed at the block's end."""
        if cancelled is not None and cancelled.is_set():
            raise WaitAbandonedError(
                f"The wait for the ledger {self.location} was called off; nothing was written."
            )
        asked = time.monotonic()
        with self._only_one_of_this_thread():
            connection, found = self._begin(writes=writes, cancelled=cancelled)
            began = time.monotonic()
            transaction = PostgresTransaction(
                connection,
                self.location,
                now=self._given_clock() if self._given_clock else found.now,
                views=found.views,
                writes=writes,
                timeout_seconds=self.timeout_seconds,
            )
            try:
                yield transaction, found, connection
                transaction.complete()
                self._commit(connection)
                transaction.committed()
            except BaseException:
                with suppress(psycopg.Error):
                    connection.execute(bare("roll_back_window"))
                transaction.forget()
                raise
            finally:
                self._connections.give_back(connection)
                if count:
                    self._count(purpose, waited=began - asked, held=time.monotonic() - began)

    def _begin(self, *, writes: bool, cancelled: threading.Event | None) -> tuple[Connection, Look]:
        """A transaction on a kept connection; if that has been cut, on a new one."""
        begin = bare("begin_write" if writes else "begin_read")
        connection, fresh = self._connections.take(timeout_seconds=self.timeout_seconds, cancelled=cancelled)
        while True:
            try:
                connection.execute(begin)
                found = look(connection)
            except psycopg.OperationalError as error:
                close(connection)
                if fresh:
                    raise self._fault(error) from error
                self._connections.forget()
                connection = self._connections.fresh(timeout_seconds=self.timeout_seconds, cancelled=cancelled)
                fresh = True
            except BaseException:
                close(connection)
                raise
            else:
                self._server_time = found.now, time.monotonic()
                if self._seen and found.version == 0:
                    close(connection)
                    raise LedgerGoneError(self.location)
                return connection, found

    def _fault(self, error: psycopg.OperationalError) -> Exception:
        return fault(self.location, error, timeout_seconds=self.timeout_seconds) or error

    def _commit(self, connection: Connection) -> None:
        if connection.info.transaction_status == TransactionStatus.INERROR:
            raise LedgerError(
                f"A statement failed in this window of the ledger {self.location}: nothing was kept."
            )
        with storage_errors(self.location, timeout_seconds=self.timeout_seconds):
            connection.execute(bare("commit_window"))

    @contextmanager
    def _only_one_of_this_thread(self) -> Iterator[None]:
        mine: set[str] = _windows_of_this_thread.__dict__.setdefault("addresses", set())
        if self.address.text in mine:
            raise RuntimeError(
                f"This thread already has a window open on {self.location}; a second one would wait for itself."
            )
        mine.add(self.address.text)
        try:
            yield
        finally:
            mine.discard(self.address.text)

    def _count(self, purpose: str, *, waited: float, held: float) -> None:
        stats = LockStats(windows=1, wait_ms=waited * 1000, held_ms=held * 1000, longest_held_ms=held * 1000)
        with self._guard:
            self._stats += stats
        _LOG.debug("window %s: waited %.1f ms, held %.1f ms", purpose, stats.wait_ms, stats.held_ms)
