"""Where an event is durable before GitLab gets its answer: one SQLite file, apart from the ledger.

The ledger's file can be held for minutes, by a long window or a DuckDB shell, and GitLab waits ten seconds and
switches a hook off after four failures. One thread owns the connection. Whatever waits for it is done in one
transaction, so that many deliveries share one flush of the disk.
"""

import contextlib
import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.events.event import GitLabEvent
from surgical_pipeline.ledger.mounts import MOUNTS, mount_of_file
from surgical_pipeline.webhook import spool_file
from surgical_pipeline.webhook.spool_file import SpoolError, SpoolFile

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_LARGEST_GROUP = 500
_COUNT_SECONDS = 1.0
_CLOSE_SECONDS = 2.0


class SpoolPlaceError(SpoolError):
    """It lies where nothing is durable: another place has to be set."""


def read_counters(path: Path) -> DeliveryCounts | None:
    """The counters of the spool at ``path``, an absolute one; None if there is none that can be read.

    Its receiver may be running meanwhile.
    """
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1.0)
    except sqlite3.Error:
        return None
    with contextlib.closing(connection):
        try:
            return spool_file.counters(connection)
        except sqlite3.Error:
            return None


@dataclass(frozen=True, slots=True)
class _Request:
    """Work for the thread that owns the connection, and where its result goes."""

    work: spool_file.Work
    result: "Future[Any]"


class Spool:
    """One spool; any thread may use it. Making this object opens nothing.

    ``filled`` is set when events came in; who brings them over clears it before looking.
    """

    def __init__(self, path: Path, *, mounts: Path = MOUNTS) -> None:
        self.path = path.resolve()
        self.filled = threading.Event()
        self._mounts = mounts
        self._file = SpoolFile(self.path)
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="spool", daemon=True)
        self._lock: int | None = None
        self._counted: Counter[str] = Counter()
        self._counted_at: dict[str, int] = {}
        self._removed = False

    def open(self) -> None:
        """Take the spool for this process, and make it if there is none.

        Raises:
            SpoolPlaceError: it would lie on a network filesystem.
            SpoolError: another receiver has it, or it cannot be opened or written.
        """
        mount = mount_of_file(self.path, mounts=self._mounts)
        if mount is not None and mount.is_remote:
            raise SpoolPlaceError(
                f"the spool {self.path} would lie on {mount.point}, which is {mount.kind}: locks and "
                "lasting writes are not promised there. Set SURGICAL_SPOOL to a path on a local disk"
            )
        self._take_lock()
        self._thread.start()
        try:
            self.probe().result()
        except SpoolError:
            self.close()
            raise
        self.filled.set()  # what an earlier receiver left

    def close(self) -> None:
        """Finish what was asked for and let go, within two seconds."""
        if self._thread.is_alive():
            self._requests.put(None)
            self._thread.join(timeout=_CLOSE_SECONDS)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def put(self, event: GitLabEvent) -> "Future[bool]":
        """Durable once there is a result: True if the event is new, False if its key waits already.

        The result raises SpoolError if it could not be written.
        """

        def work(connection: sqlite3.Connection) -> bool:
            new = spool_file.insert(connection, event)
            spool_file.add(connection, "accepted", 1, at=int(event.received_at.timestamp()))
            return new

        stored = self._ask(work)
        stored.add_done_callback(self._tell)
        return stored

    def count(self, name: str) -> None:
        """Add one to a counter of ``DeliveryCounts``, soon: what is refused is not worth a flush of the disk."""

        def work(_connection: sqlite3.Connection) -> None:
            self._counted[name] += 1
            self._counted_at[name] = int(time.time())

        self._ask(work)

    def probe(self) -> "Future[None]":
        """Done once something was written, if nothing was within the last second.

        The result raises SpoolError if that is not possible.
        """

        def work(connection: sqlite3.Connection) -> None:
            if time.monotonic() - self._file.committed_at > spool_file.PROVEN_SECONDS:
                spool_file.put(connection, "probed_at", int(time.time()))

        return self._ask(work)

    def state(self) -> "Future[tuple[int, DeliveryCounts]]":
        """How many events wait, and the counters. The result may raise SpoolError."""
        return self._ask(lambda connection: (spool_file.waiting(connection), spool_file.counters(connection)))

    def oldest(self, limit: int) -> list[tuple[int, GitLabEvent]]:
        """The first events that wait, each with its position.

        Raises:
            SpoolError: the spool cannot be read.
        """
        return self._ask(lambda connection: spool_file.oldest(connection, limit)).result()

    def remove(self, positions: Sequence[int]) -> None:
        """Forget events that the ledger has.

        Raises:
            SpoolError: they stay, and will be brought over again.
        """

        def work(connection: sqlite3.Connection) -> None:
            spool_file.delete(connection, positions)
            self._removed = True

        self._ask(work).result()

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        result: Future[T] = Future()
        self._requests.put(_Request(work, result))
        return result

    def _take_lock(self) -> None:
        path = self.path.with_name(f"{self.path.name}.lock")
        try:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            if isinstance(error, BlockingIOError):
                raise SpoolError(
                    f"another receiver has the spool {self.path}: stop it, or set SURGICAL_SPOOL to another file"
                ) from error
            raise SpoolError(f"the spool's lock {path} cannot be opened: {error.strerror}") from error

    def _serve(self) -> None:
        """The thread that owns the connection."""
        open_for_more = True
        while open_for_more:
            group, open_for_more = self._next_group()
            self._answer(group)
            if self._removed:
                self._removed = False
                self._file.vacuum_if_due()
        self._answer([])
        self._file.close()

    def _next_group(self) -> tuple[list[_Request], bool]:
        """All requests that wait, at least one, unless counters are due; False once nothing more may come."""
        group: list[_Request] = []
        try:
            request = self._requests.get(timeout=_COUNT_SECONDS if self._counted else None)
            while request is not None:
                if request.result.set_running_or_notify_cancel():
                    group.append(request)
                if len(group) == _LARGEST_GROUP:
                    break
                request = self._requests.get_nowait()
        except queue.Empty:
            return group, True
        return group, request is not None

    def _answer(self, group: Sequence[_Request]) -> None:
        counted = Counter(self._counted)

        def count(connection: sqlite3.Connection) -> None:
            for name, number in counted.items():
                spool_file.add(connection, name, number, at=self._counted_at[name])

        try:
            *results, _ = self._file.run([*(request.work for request in group), count])
        except Exception as error:  # noqa: BLE001  a defect in one request must not end the thread
            if not isinstance(error, SpoolError):
                _LOG.exception("the spool's work failed")
            for request in group:
                request.result.set_exception(error)
            return
        self._counted -= counted
        for request, result in zip(group, results, strict=True):
            request.result.set_result(result)

    def _tell(self, stored: "Future[bool]") -> None:
        if not stored.cancelled() and stored.exception() is None and stored.result():
            self.filled.set()
