"""The spool's SQLite file: its schema, its rows, and one connection to it, which belongs to one thread."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.events.event import GitLabEvent

BUSY_SECONDS = 4.0
"""How long a transaction waits for another program that has the spool, such as a SQLite shell."""
VACUUM_BYTES = 8_000_000
"""A file that is larger gives its space back as soon as nothing waits in it."""
PROVEN_SECONDS = 1.0
"""For so long after a commit the spool counts as writable."""

_PRIVATE = 0o600
_VERSION = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE events (
    position     INTEGER PRIMARY KEY AUTOINCREMENT,
    event_key    TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    project_id   INTEGER NOT NULL,
    project_path TEXT,
    entity_type  TEXT NOT NULL,
    iid          INTEGER NOT NULL,
    received_at  TEXT NOT NULL,
    sent_at      TEXT,
    occurred_at  TEXT
);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_INSERT = """
INSERT INTO events (event_key, kind, project_id, project_path, entity_type, iid, received_at, sent_at, occurred_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (event_key) DO NOTHING
"""
_OLDEST = """
SELECT position, event_key, kind, project_id, project_path, entity_type, iid, received_at, sent_at, occurred_at
FROM events ORDER BY position LIMIT ?
"""
_DELETE = "DELETE FROM events WHERE position = ?"
_ADD = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
_SET = "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

Work = Callable[[sqlite3.Connection], Any]


class SpoolError(Exception):
    """The spool cannot be used, or not now; the message says why and what to do."""


class SpoolFile:
    """The one connection. Only the thread that calls ``run`` first may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._changes = 0
        self.committed_at = float("-inf")

    def run(self, works: Sequence[Work]) -> list[Any]:
        """The results of all ``works``, which are done in one transaction and durable when this returns.

        Raises:
            SpoolError: nothing of it was kept, or it is not known whether it was.
        """
        try:
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            results = [work(connection) for work in works]
            changed = connection.total_changes
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self.close()  # which rolls back; the next call opens it anew
            raise SpoolError(
                f"the spool {self._path} cannot be used: {error}. Its folder must exist, be writable and have "
                "space, and no other program may keep the file; a damaged file has to be moved away"
            ) from error
        except BaseException:
            self.close()
            raise
        if changed != self._changes:
            self._changes, self.committed_at = changed, time.monotonic()
        return results

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def vacuum_if_due(self) -> None:
        """Give the space back of a file that has grown, once nothing waits in it; if that fails, another time."""
        with contextlib.suppress(sqlite3.Error, OSError):
            connection = self._opened()
            if self._bytes() > VACUUM_BYTES and not waiting(connection):
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _opened(self) -> sqlite3.Connection:
        """The connection to the file that is there now: one that was deleted or replaced keeps nothing."""
        if self._connection is not None:
            with contextlib.suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._inode:
                    return self._connection
            self.close()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        try:
            status = os.fstat(descriptor)
            if status.st_size == 0:
                os.fchmod(descriptor, _PRIVATE)  # whatever the umask; SQLite's other files take the same mode
                _flush_folder(self._path.parent)
        finally:
            os.close(descriptor)
        self._connection = connection = _connected(self._path)
        self._inode, self._changes = status.st_ino, connection.total_changes
        return connection

    def _bytes(self) -> int:
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {VACUUM_BYTES // 2}").fetchall()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise sqlite3.DatabaseError("it is from a newer version of this program")
        if version == 0:
            connection.executescript(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def insert(connection: sqlite3.Connection, event: GitLabEvent) -> bool:
    """False if an event of that key waits already."""
    times = (event.received_at, event.sent_at, event.occurred_at)
    row = (event.key, event.kind, event.project_id, event.project_path, event.entity.entity_type.value)
    values = (*row, event.entity.iid, *(moment and moment.isoformat() for moment in times))
    return connection.execute(_INSERT, values).rowcount == 1


def oldest(connection: sqlite3.Connection, limit: int) -> list[tuple[int, GitLabEvent]]:
    """The events that wait, in the order in which they came, each with its position."""
    return [(row[0], _event(*row[1:])) for row in connection.execute(_OLDEST, (limit,))]


def _event(
    key: str,
    kind: str,
    /,
    project_id: int,
    project_path: str | None,
    entity_type: str,
    iid: int,
    *times: str | None,
) -> GitLabEvent:
    received_at, sent_at, occurred_at = (moment and datetime.fromisoformat(moment) for moment in times)
    return GitLabEvent(
        key=key,
        kind=kind,
        project_id=project_id,
        project_path=project_path,
        entity=EntityKey(EntityType(entity_type), iid),
        received_at=received_at or datetime.now(UTC),
        sent_at=sent_at or None,
        occurred_at=occurred_at or None,
    )


def delete(connection: sqlite3.Connection, positions: Sequence[int]) -> None:
    connection.executemany(_DELETE, [(position,) for position in positions])


def waiting(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT COUNT(*) FROM events").fetchone()[0])


def add(connection: sqlite3.Connection, name: str, number: int, *, at: int) -> None:
    """Count so many more, the last of them at this second."""
    connection.execute(_ADD, (name, number))
    put(connection, f"last_{name}_at", at)


def put(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute(_SET, (name, value))


def counters(connection: sqlite3.Connection) -> DeliveryCounts:
    found: dict[str, int] = dict(connection.execute("SELECT name, value FROM counters").fetchall())

    def moment(name: str) -> datetime | None:
        return datetime.fromtimestamp(found[name], tz=UTC) if name in found else None

    return DeliveryCounts(
        accepted=found.get("accepted", 0),
        ignored=found.get("ignored", 0),
        refused_secret=found.get("refused_secret", 0),
        refused_age=found.get("refused_age", 0),
        last_accepted_at=moment("last_accepted_at"),
        last_refused_secret_at=moment("last_refused_secret_at"),
        last_refused_age_at=moment("last_refused_age_at"),
    )


def _flush_folder(folder: Path) -> None:
    """A new file's name is durable only with its folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
