"""A real PostgreSQL database as the processes of a simulation see it: windows overlap, statement by statement."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast
from unittest.mock import patch

import psycopg
from greenlet import getcurrent
from psycopg.abc import QueryNoTemplate

from surgical_pipeline.domain.outcomes import LockStats
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.clock import Clock
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.ledger.postgres.address import Address
from surgical_pipeline.ledger.postgres.connections import Connection, Connections
from surgical_pipeline.ledger.postgres.statements import DATABASE, as_statement, bare, statement
from surgical_pipeline.ledger.postgres.transaction import PostgresTransaction
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.postgres_server import PostgresServer
from surgical_pipeline_tests.simulation.interruptible import can_wait, run_interruptible, wait_for
from surgical_pipeline_tests.simulation.ledger import StoredLedger
from surgical_pipeline_tests.simulation.lock_waits import DEADLOCK_MS, OpenWindow, Waiters, WaitingConnection
from surgical_pipeline_tests.simulation.processes import Killed, Machine, Process

T = TypeVar("T")


class PostgresDatabase:
    """A server, and a database with a new ledger, of which each simulation gets a copy."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.folder = folder
        self._server = server
        self._template = server.new_database()
        with closing(server.ledger(self._template)) as ledger, ledger.write("make"):
            pass

    @contextmanager
    def ledger(self, name: str) -> Iterator["LedgerDatabase"]:
        del name
        with self._server.temporary(self._template) as database:
            options = f"?options=-c%20deadlock_timeout%3D{DEADLOCK_MS}ms"
            stored = LedgerDatabase(Address.parse(self._server.url(database) + options))
            try:
                yield stored
            finally:
                stored.close()

    def close(self) -> None:
        self._server.drop(self._template)


class LedgerDatabase(StoredLedger):
    """One database, and what the processes of a simulation share of it."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self.address = address
        self.threads: set[object] = set()
        """Those that have a window open: in a simulation, a thread is a greenlet."""
        self._waiters = Waiters(self._ask)
        self.pool = _Pool(address, self._waiters)
        self._onlooker = self.pool.fresh(timeout_seconds=60)
        self._machine: Machine | None = None

    def opened_by(self, process: Process, *, timeout_seconds: float = 60.0) -> Ledger:
        return SimulatedPostgres(self, process, timeout_seconds=timeout_seconds)

    def rows(self, text: str, **params: object) -> list[tuple[Any, ...]]:
        return self._ask(as_statement(text), params)

    def runs_on(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def clock(self) -> Clock:
        if self._machine is None:
            raise AssertionError("nobody said where the server runs")
        return self._machine.wall

    def close(self) -> None:
        self._waiters.thaw()
        self.pool.forget()
        self._onlooker.close()

    def _ask(self, text: str, params: Any) -> list[tuple[Any, ...]]:
        return self._onlooker.execute(cast("QueryNoTemplate", text), params).fetchall()


class _Pool(Connections):
    """Of all processes together: making a connection takes as long as ten windows."""

    def __init__(self, address: Address, waiters: Waiters) -> None:
        super().__init__(address)
        self._waiters = waiters

    def give_back(self, connection: Connection) -> None:
        if isinstance(connection, WaitingConnection):
            connection.window = None
        super().give_back(connection)

    def _connect(self, timeout_seconds: float) -> Connection:
        with patch.object(psycopg, "connect", WaitingConnection.connect):
            made = super()._connect(timeout_seconds)
        if isinstance(made, WaitingConnection):
            made.waiters = self._waiters
        return made


class _Window(OpenWindow):
    """A process is interrupted before each statement, and may be killed there. ``cancelled``: once it is over."""

    def __init__(self, stored: LedgerDatabase, process: Process, purpose: str, *, timeout_seconds: float) -> None:
        self.process = process
        self.purpose = purpose
        self._stored = stored
        self._timeout_seconds = timeout_seconds
        self.cancelled = False

    def before(self, statement: QueryNoTemplate) -> None:
        if statement == bare("roll_back_window"):
            return
        self.process.point(f"{self.purpose}: {_names()[str(statement)]}")
        self._let_others(self.process.rest())

    def until(self, answered: "asyncio.Future[None]") -> bool:
        self.process.trace.add(self.process.name, f"{self.purpose} waits for a lock")
        self._let_others(asyncio.wait({answered}, timeout=self._timeout_seconds))
        return answered.done()

    def collided(self, error: psycopg.Error) -> None:
        self._stored.tell_broken(f"{self.process.name} in {self.purpose}: {error}")

    def _let_others(self, something: Awaitable[object]) -> None:
        """A cancelled task ends once its window is over, as does a thread; a killed process ends here."""
        if not can_wait():
            raise AssertionError(f"a window is opened where nobody else can go on: {self.purpose}")
        waiting = asyncio.ensure_future(something)
        while not waiting.done():
            try:
                wait_for(asyncio.shield(waiting))
            except asyncio.CancelledError:
                if not self.process.alive:
                    waiting.cancel()
                    raise Killed from None
                self.cancelled = True
        waiting.result()


class _LedgerOfProcess(PostgresLedger):
    """Ours, where threads are greenlets."""

    def __init__(self, stored: LedgerDatabase, process: Process, *, timeout_seconds: float) -> None:
        super().__init__(stored.address, lock_timeout_seconds=timeout_seconds, clock=stored.clock)
        self._connections = stored.pool
        self._seen = True
        self._stored = stored
        self._process = process

    def _commit(self, connection: Connection) -> None:
        super()._commit(connection)
        if isinstance(connection, WaitingConnection) and isinstance(connection.window, _Window):
            self._stored.written(self._process, connection.window.purpose)

    @contextmanager
    def _only_one_of_this_thread(self) -> Iterator[None]:
        mine = getcurrent()
        if mine in self._stored.threads:
            raise RuntimeError("This thread already has a window open.")
        self._stored.threads.add(mine)
        try:
            yield
        finally:
            self._stored.threads.discard(mine)


class SimulatedPostgres:
    """`ledger.protocol.Ledger` as one process has it."""

    def __init__(self, stored: LedgerDatabase, process: Process, *, timeout_seconds: float) -> None:
        self._stored = stored
        self._process = process
        self._timeout_seconds = timeout_seconds
        self._ledger = _LedgerOfProcess(stored, process, timeout_seconds=timeout_seconds)

    @property
    def location(self) -> str:
        return "the simulated ledger"

    @property
    def clock(self) -> Clock:
        return self._ledger.clock

    @property
    def exists(self) -> bool:
        self._process.must_live()
        return True

    @property
    def stats(self) -> LockStats:
        return LockStats(windows=self._ledger.stats.windows)

    @contextmanager
    def write(self, purpose: str, *, cancelled: object = None) -> Iterator[PostgresTransaction]:
        del cancelled
        self._turn(purpose)
        window = _Window(self._stored, self._process, purpose, timeout_seconds=self._timeout_seconds)
        with self._ledger.write(purpose) as transaction:
            cast("WaitingConnection", transaction.connection).window = window
            yield transaction
        self._process.point(f"committed {purpose}")
        if window.cancelled:
            raise asyncio.CancelledError
        wait_for(self._process.pause(f"goes on after {purpose}"))

    @contextmanager
    def read(self, purpose: str = "read", *, cancelled: object = None) -> Iterator[PostgresTransaction]:
        del cancelled
        self._turn(purpose)
        with self._ledger.read(purpose) as transaction:
            yield transaction

    async def in_write(self, purpose: str, work: Callable[[PostgresTransaction], T]) -> T:
        def window() -> T:
            with self.write(purpose) as transaction:
                return work(transaction)

        return await run_interruptible(window)

    async def in_read(self, purpose: str, work: Callable[[PostgresTransaction], T]) -> T:
        def window() -> T:
            with self.read(purpose) as transaction:
                return work(transaction)

        return await run_interruptible(window)

    def _turn(self, purpose: str) -> None:
        """The moment before a window; it takes as long as the server is not there."""
        if can_wait():
            wait_for(self._server_is_there(purpose))
        self._process.point(f"opens {purpose}")

    async def _server_is_there(self, purpose: str) -> None:
        await self._process.pause(f"waits for {purpose}")
        wait = self._stored.held_until - self._process.machine.time()
        if wait > 0:
            await self._process.sleep(min(wait, self._timeout_seconds))
        if wait > self._timeout_seconds:
            raise LedgerError("The simulated ledger cannot be reached.")


@cache
def _names() -> dict[str, str]:
    """The names of statements, by their text."""
    return {text: name for name in sql.queries(DATABASE) for text in (bare(name), statement(name))}
