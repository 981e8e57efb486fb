"""DuckDB without a file, kept between windows: each window attaches the ledger's file and detaches it again.

Starting DuckDB takes 12 ms on an idle machine and 30 ms on a busy one, attaching a file to one that runs less than
1 ms. After a detach the file is as closed as after the end of the process: others can open it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakValueDictionary

import duckdb

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.duckdb.checkpoints import CheckpointPolicy
from surgical_pipeline.ledger.duckdb.faults import storage_errors
from surgical_pipeline.ledger.duckdb.file import CONFIG, wait_for_strangers, wal_bytes
from surgical_pipeline.ledger.interruptions import interruptions


def start(spill_folder: str) -> duckdb.DuckDBPyConnection:
    """DuckDB with all settings that a window needs, and no file. ``spill_folder`` takes what exceeds memory."""
    connection = duckdb.connect(config=CONFIG | {"temp_directory": spill_folder})
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # Ten rows in a table of vectors can otherwise cost 1.5 s when the file is detached.
    connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    return connection


class Engine:
    """One file at a time; windows that overlap, which only readers' can, share the attached file.

    Whatever goes wrong within a window ends this DuckDB, too: the next window starts another.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._running: duckdb.DuckDBPyConnection | None = None
        self._windows = 0
        self._doubtful = False
        self.checkpoints = CheckpointPolicy()
        self.looked_at: int | None = None
        """Inode of the file that was found fit for writing; see `DuckDBLedger`."""

    def start(self) -> None:
        """Start DuckDB if it is not running. This takes longer than a window, so do it before taking the lock."""
        with self._guard, interruptions():
            if self._running is None:
                self._running = start(f"{self._path}.tmp")

    @contextmanager
    def attached(
        self,
        *,
        read_only: bool,
        timeout_seconds: float,
        cancelled: threading.Event | None = None,
        waited: Callable[[float], None] = lambda _seconds: None,
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection whose database is the file, without a transaction. The ledger's lock must be held.

        ``waited`` and errors as in ``wait_for_strangers``.

        Raises:
            KeyboardInterrupt: a signal that is to end the main thread came while a query ran in it.
        """
        with interruptions():
            with self._guard:
                if self._windows == 0:
                    self._attach(read_only, timeout_seconds=timeout_seconds, cancelled=cancelled, waited=waited)
                self._windows += 1
            sound = False
            try:
                with self._connection() as connection:
                    yield connection
                sound = True
            finally:
                with self._guard:
                    self._windows -= 1
                    self._doubtful |= not sound
                    if self._windows == 0:
                        self._detach()

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if self._running is None:
            raise AssertionError("a window is open on a DuckDB that does not run")
        connection = self._running.cursor()
        try:
            connection.execute(sql.query("use_ledger").text)
            yield connection
        finally:
            connection.close()

    def _attach(
        self,
        read_only: bool,
        *,
        timeout_seconds: float,
        cancelled: threading.Event | None,
        waited: Callable[[float], None],
    ) -> None:
        running = self._running or start(f"{self._path}.tmp")
        attach = sql.query("attach_ledger_read_only" if read_only else "attach_ledger").text
        log_bytes = wal_bytes(self._path)

        def measured() -> float:
            began = time.thread_time()  # Count only this thread's work: it does the replay.
            running.execute(attach, {"path": str(self._path)})
            return (time.thread_time() - began) * 1000

        try:
            took_ms = wait_for_strangers(
                self._path, measured, timeout_seconds=timeout_seconds, cancelled=cancelled, waited=waited
            )
        except BaseException:
            running.close()
            self._running = None
            raise
        self.checkpoints.attached(took_ms, log_bytes=log_bytes)
        self._running, self._doubtful = running, False

    def _detach(self) -> None:
        running = self._running
        if running is None:
            return
        if self._doubtful:
            self._running = None
            with storage_errors(self._path):
                running.close()
            return
        try:
            with storage_errors(self._path):
                running.execute(sql.query("detach_ledger").text)
        except BaseException:
            self._running = None
            with suppress(duckdb.Error):
                running.close()
            raise


_engines: WeakValueDictionary[Path, Engine] = WeakValueDictionary()
_engines_guard = threading.Lock()


def engine_of(path: Path) -> Engine:
    """This process's engine for a file: kept as long as something references it."""
    with _engines_guard:
        engine = _engines.get(path)
        if engine is None:
            engine = _engines[path] = Engine(path)
        return engine
