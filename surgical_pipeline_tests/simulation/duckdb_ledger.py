"""A real DuckDB file as the processes of a simulation see it: windows, with moments to be killed around them."""

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from surgical_pipeline.domain.outcomes import LockStats
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.clock import Clock
from surgical_pipeline.ledger.duckdb.engine import start
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import LockTimeoutError
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.simulation.interruptible import can_wait, wait_for
from surgical_pipeline_tests.simulation.ledger import Answer, StoredLedger
from surgical_pipeline_tests.simulation.processes import NOON, Process

T = TypeVar("T")


class DuckDBDatabase:
    """DuckDB and a new ledger, from which each simulation begins; made once, for it takes longer than a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._template = folder / "template.duckdb"
        ledger = DuckDBLedger(self._template, clock=lambda: NOON)
        with ledger.write("make"):
            pass
        ledger.checkpoint()
        self._running = start(str(folder / "spill"))
        self._running.execute("SET threads = 1")

    @contextmanager
    def ledger(self, name: str) -> Iterator["LedgerFile"]:
        """A new ledger, attached as long as the block lasts."""
        path = self.folder / f"{name}.duckdb"
        shutil.copyfile(self._template, path)
        self._running.execute(sql.query("attach_ledger").text, {"path": str(path)})
        connection = self._running.cursor()
        try:
            connection.execute(sql.query("use_ledger").text)
            # The statements of a simulation are small and many: planning them is what takes time.
            connection.execute("PRAGMA disable_optimizer")
            yield LedgerFile(path, connection)
        finally:
            connection.close()
            self._running.execute(sql.query("detach_ledger").text)
            for file in (path, path.with_name(f"{path.name}.wal")):
                file.unlink(missing_ok=True)

    def close(self) -> None:
        self._running.close()


class LedgerFile(StoredLedger):
    """``connection``: the one of all windows, which never overlap."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__()
        self.path = path
        self.connection = connection

    def opened_by(self, process: Process, *, timeout_seconds: float = 60.0) -> Ledger:
        return SimulatedLedger(self, process, timeout_seconds=timeout_seconds)

    def rows(self, text: str, **params: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(text, params or None).fetchall()


class _ReadTransaction(DuckDBTransaction):
    """The same question to the same content has the same answer."""

    def __init__(self, file: LedgerFile, *, now: datetime) -> None:
        super().__init__(file.connection, file.path, now=now)
        self._file = file

    def _run(self, query_name: str, params: dict[str, Any]) -> Answer:
        asked = (query_name, repr(params))
        answer = self._file.answers.get(asked)
        if answer is None:
            answer = self._file.answers[asked] = super()._run(query_name, params)
        return answer[0], list(answer[1])


class SimulatedLedger:
    """`ledger.protocol.Ledger` as one process has it. Windows never overlap, as under the real lock."""

    def __init__(self, file: LedgerFile, process: Process, *, timeout_seconds: float) -> None:
        self._file = file
        self._process = process
        self._timeout_seconds = timeout_seconds
        self._windows = 0

    @property
    def location(self) -> str:
        return "the simulated ledger"

    @property
    def clock(self) -> Clock:
        return self._process.machine.wall

    @property
    def exists(self) -> bool:
        self._process.must_live()
        return True

    @property
    def stats(self) -> LockStats:
        return LockStats(windows=self._windows)

    @contextmanager
    def write(self, purpose: str, *, cancelled: threading.Event | None = None) -> Iterator[DuckDBTransaction]:
        del cancelled
        if can_wait():
            wait_for(self._turn(purpose))
        with self._window(purpose, writes=True) as tx:
            yield tx
        if can_wait():
            wait_for(self._process.pause(f"goes on after {purpose}"))

    @contextmanager
    def read(
        self, purpose: str = "read", *, cancelled: threading.Event | None = None
    ) -> Iterator[DuckDBTransaction]:
        del cancelled
        if can_wait():
            wait_for(self._turn(purpose))
        with self._window(purpose, writes=False) as tx:
            yield tx

    async def in_write(self, purpose: str, work: Callable[[DuckDBTransaction], T]) -> T:
        await self._turn(purpose)
        with self._window(purpose, writes=True) as tx:
            result = work(tx)
        await self._process.pause(f"goes on after {purpose}")
        return result

    async def in_read(self, purpose: str, work: Callable[[DuckDBTransaction], T]) -> T:
        await self._turn(purpose)
        with self._window(purpose, writes=False) as tx:
            return work(tx)

    async def _turn(self, purpose: str) -> None:
        await self._process.pause(f"waits for {purpose}")
        time = self._process.machine.time
        waited = 0.0
        while (wait := self._file.held_until - time()) > 0:
            if waited + wait > self._timeout_seconds:
                await self._process.sleep(self._timeout_seconds - waited)
                raise LockTimeoutError(self._file.path, self._timeout_seconds)
            await self._process.sleep(wait)
            waited += wait

    @contextmanager
    def _window(self, purpose: str, *, writes: bool) -> Iterator[DuckDBTransaction]:
        self._process.point(f"opens {purpose}")
        self._windows += 1
        connection, now = self._file.connection, self._process.machine.wall()
        if not writes:
            yield _ReadTransaction(self._file, now=now)
            return
        connection.execute("BEGIN TRANSACTION")
        tx = DuckDBTransaction(connection, self._file.path, now=now)
        try:
            yield tx
            tx.complete()
            self._process.point(f"commits {purpose}")
            connection.execute("COMMIT")
            tx.committed()
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            tx.forget()
            raise
        self._file.written(self._process, purpose)
        self._process.point(f"committed {purpose}")
