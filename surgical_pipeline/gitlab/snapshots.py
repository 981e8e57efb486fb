"""Fetched entities on disk, between preflight and ingest: 10,000 payloads do not belong in memory.

One JSON object per line. The file is private to its owner and holds payloads, never a token.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType

_MODE = 0o600
_FOLDER_MODE = 0o700


class SnapshotError(Exception):
    """The file is missing or has an incomplete line: what preflight fetched must be fetched again."""


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A picklable value: nothing but the path."""

    path: Path

    def append(self, records: Sequence[EntityRecord]) -> None:
        """Append records; with none, make sure that the file exists."""
        self.path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        text = "".join(json.dumps(_as_json(record), ensure_ascii=False) + "\n" for record in records)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        with os.fdopen(handle, "ab") as file:
            file.write(text.encode())

    @property
    def exists(self) -> bool:
        """Whether it is on this machine."""
        return self.path.is_file()

    def batches(self, size: int = 100) -> Iterator[tuple[EntityRecord, ...]]:
        """The records in the order they were added, ``size`` at a time.

        Raises:
            SnapshotError: no such file, or a torn line (the process was killed while it wrote).
        """
        if size < 1:
            raise ValueError(f"a batch holds at least one record, not {size}")
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            raise SnapshotError(f"there is no snapshot file {self.path}: run preflight again") from None
        with file:
            records = (self._record(line, number) for number, line in enumerate(file, start=1))
            while batch := tuple(islice(records, size)):
                yield batch

    def delete(self) -> None:
        """Remove the file, if it exists."""
        with suppress(FileNotFoundError):
            self.path.unlink()

    def _record(self, line: bytes, number: int) -> EntityRecord:
        try:
            values = json.loads(line)
            return _from_json(values, *values["key"])
        except (ValueError, TypeError, KeyError) as error:
            raise SnapshotError(
                f"line {number} of the snapshot file {self.path} is not whole: run preflight again"
            ) from error


def discard_old_snapshots(folder: Path, *, kept_seconds: float) -> None:
    """Remove what failed runs left for a re-execution that did not happen within that time."""
    oldest = time.time() - kept_seconds
    for path in folder.glob("*.jsonl"):
        with suppress(FileNotFoundError):  # another run tidies up, too
            if path.stat().st_mtime < oldest:
                path.unlink()


def _as_json(record: EntityRecord) -> dict[str, object]:
    values = asdict(record)
    values["key"] = [record.key.entity_type.value, record.key.iid]
    values["updated_at"] = record.updated_at.isoformat()
    values["fetched_at"] = record.fetched_at.isoformat()
    return values


def _from_json(values: dict[str, Any], entity_type: str, iid: int) -> EntityRecord:
    values["key"] = EntityKey(EntityType(entity_type), iid)
    values["updated_at"] = datetime.fromisoformat(values["updated_at"])
    values["fetched_at"] = datetime.fromisoformat(values["fetched_at"])
    return EntityRecord(**values)
