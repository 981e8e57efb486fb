"""The files of Dagster's runs: those of a run, those that are left of runs that Dagster forgot, and logs of ticks.

A run has a SQLite database of its events, a folder with what its ops handed on and printed, and perhaps a file of
what it fetched. Deleting the run in Dagster leaves all of them. The database goes last: as long as it is there, a
prune that was killed is seen and finished by the next one.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import dagster as dg

from surgical_pipeline.defs.dagster_home import shrink
from surgical_pipeline.defs.dagster_internals import SqliteEventLogStorage
from surgical_pipeline.ledger.disk import allocated, count_files

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOG_ENDINGS = {".err", ".out", ".complete"}
_PARTS = (".db-wal", ".db-shm", ".db")


@dataclass(slots=True)
class Removed:
    """``bytes``: that the disk had given to them."""

    files: int = 0
    bytes: int = 0

    def __iadd__(self, other: "Removed") -> Self:
        self.files += other.files
        self.bytes += other.bytes
        return self


class RunFiles:
    """Files below ``home``, as this instance lays them out.

    Where it keeps its runs in another database than SQLite files, nobody can tell the files of a forgotten run
    from those of another Dagster in this folder: then only those of runs that are deleted now are known.
    """

    def __init__(self, instance: dg.DagsterInstance, home: Path) -> None:
        events = instance.event_log_storage
        self._events = (
            Path(events.path_for_shard("-")).parent if isinstance(events, SqliteEventLogStorage) else None
        )
        self._storage = Path(instance.storage_directory())
        self._schedules = Path(instance.schedules_directory())
        self._snapshots = home / "snapshots"

    def of(self, run_id: str) -> Iterator[Path]:
        """Where they are or would be, in the order in which they go."""
        yield self._snapshots / f"{run_id}.jsonl"
        yield self._storage / run_id
        if self._events is not None:
            yield from (self._events / f"{run_id}{part}" for part in _PARTS)

    def measure(self, run_id: str) -> Removed:
        """What `remove` would remove."""
        found = Removed()
        for path in self.of(run_id):
            found += Removed(count_files(path), allocated(path))
        return found

    def remove(self, run_id: str) -> Removed:
        """Remove what there is; Dagster must no longer know the run."""
        removed = Removed()
        for path in self.of(run_id):
            here = Removed(count_files(path), allocated(path))
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            removed += here
        return removed

    def run_ids(self) -> set[str]:
        """Of all runs that have files; none where files tell nothing of runs."""
        if self._events is None:
            return set()
        names = {path.name.partition(".")[0] for path in self._events.glob("*.db*")}
        for folder in (self._storage, self._snapshots):
            names |= {path.name.partition(".")[0] for path in folder.glob("*")}
        return {name for name in names if _RUN_ID.fullmatch(name)}

    def old_tick_logs(self, names: frozenset[str], before: datetime) -> Iterator[Path]:
        """What sensors and schedules of these names logged in ticks before that time."""
        limit = before.timestamp()
        for folder in self._storage.glob("*/*"):
            if folder.name in names and folder.is_dir() and not _RUN_ID.fullmatch(folder.parent.name):
                for path in folder.iterdir():
                    if path.suffix in _LOG_ENDINGS and path.lstat().st_mtime < limit:
                        yield path

    def shrink(self) -> int:
        """Give back what the databases that all runs share no longer use; bytes."""
        if self._events is None:
            return 0
        shared = (self._events / "index.db", self._events.parent / "runs.db", self._schedules / "schedules.db")
        return sum(map(shrink, shared))
