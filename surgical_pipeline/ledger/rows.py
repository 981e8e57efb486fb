"""The ledger's tables row by row, for what handles it as a whole: copying it from one database to another."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Protocol

from surgical_pipeline.ledger.protocol import Transaction

Row = tuple[Any, ...]

TABLES: Mapping[str, tuple[str, ...]] = {
    "sync_runs": ("run_id",),
    "sync_run_phases": ("run_id", "phase"),
    "entity_outcomes": ("run_id", "entity_type", "iid"),
    "entity_failures": ("run_id", "entity_type", "iid", "position"),
    "pruned_failures": ("day", "code"),
    "ledger_gitlab": ("only_row",),
    "projects": ("project_id",),
    "entities": ("project_id", "entity_type", "iid"),
    "dependent_fetches": ("project_id", "entity_type", "iid", "dependent"),
    "discussions": ("project_id", "noteable_type", "noteable_iid", "discussion_id"),
    "notes": ("note_id",),
    "resource_events": ("event_type", "event_id"),
    "linked_records": ("project_id", "entity_type", "iid", "dependent", "record_id"),
    "documents": ("document_id",),
    "embeddings": ("document_id", "chunk_index", "model"),
    "gitlab_events": ("event_key",),
    "hook_deliveries": ("receiver",),
}
"""Each with its key. What is made of others is not among them: each database makes its own index of words."""

NO_READERS = frozenset({"sync_run_phases", "pruned_failures", "gitlab_events", "hook_deliveries"})
"""Tables that no typed view shows."""


class Tables(Protocol):
    """The tables inside one open window, in no database's own words."""

    def columns(self, table: str) -> list[str]:
        """In the order in which both databases have them."""

    def stream(self, table: str, columns: Sequence[str], *, after: Row | None = None) -> Iterator[list[Row]]:
        """All rows by key, in batches; only those whose key comes after ``after``."""

    def last_key(self, table: str) -> Row | None:
        """The highest key; None: the table is empty."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None: ...


class RowLedger(Protocol):
    """A ledger whose tables can be read and written whole."""

    @property
    def location(self) -> str: ...

    @property
    def exists(self) -> bool: ...

    def reading(self) -> AbstractContextManager[tuple[Transaction, Tables]]:
        """All of one moment, while others go on."""

    def writing(self) -> AbstractContextManager[tuple[Transaction, Tables]]:
        """A write window."""


class Fingerprint:
    """Of rows in any order: their number, and a sum that is the same on every database."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            digest = hashlib.blake2b(
                repr(tuple(map(_same_everywhere, row))).encode("utf-8", "replace"), digest_size=8
            )
            self._sum = (self._sum + int.from_bytes(digest.digest())) % (1 << 64)
            self.rows += 1

    @property
    def text(self) -> str:
        return f"{self._sum:016x}"


def _same_everywhere(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, list):
        # Of vectors, one database gives four bytes a number as eight, the other as few digits as tell them apart.
        return array("f", value).tobytes() if value and isinstance(value[0], float) else tuple(value)
    return value
