"""Where a dataset's rows come from: a published version, or the ledger itself."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from surgical_pipeline.dataset.columns import Column
from surgical_pipeline.dataset.engine import PublishedFile, check_reads_only, reading_errors
from surgical_pipeline.dataset.errors import DatasetError
from surgical_pipeline.dataset.manifest import Manifest, read_manifest
from surgical_pipeline.dataset.schema import SCHEMA, views
from surgical_pipeline.dataset.versions import DATABASE
from surgical_pipeline.ledger.errors import ReaderSqlError
from surgical_pipeline.ledger.protocol import Ledger


class Source(Protocol):
    @property
    def columns(self) -> Mapping[str, tuple[Column, ...]]:
        """Every table with its columns."""

    @property
    def location(self) -> str:
        """Where it is, and how old: in words for people."""

    @property
    def manifest(self) -> Manifest | None:
        """What a published version says of itself; None: the ledger."""

    def sql_name(self, table: str) -> str: ...

    def check(self, text: str) -> None:
        """A reader's SQL is one query.

        Raises:
            DatasetError: it is none, several, or changes something.
        """

    def arrow(self, text: str, params: Mapping[str, Any]) -> Any:
        """The rows of a query as a ``pyarrow.Table``.

        Raises:
            DatasetError: the SQL is wrong.
        """

    def close(self) -> None: ...


class PublishedSource:
    """One version, open until it is closed: every read is of the same moment, and nobody waits for it."""

    def __init__(self, version: Path) -> None:
        self.manifest: Manifest | None = (manifest := read_manifest(version))
        self.columns: Mapping[str, tuple[Column, ...]] = manifest.columns()
        self._made_at, self._number, self._version = manifest.made_at, manifest.version, version
        self._file = PublishedFile(version / DATABASE)

    @property
    def location(self) -> str:
        return f"published version {self._number}, made {age_in_words(self._made_at)} ago, in {self._version}"

    def sql_name(self, table: str) -> str:
        return f'{SCHEMA}.main."{table}"'

    def check(self, text: str) -> None:
        check_reads_only(text)

    def arrow(self, text: str, params: Mapping[str, Any]) -> Any:
        return self._file.arrow(text, params)

    def close(self) -> None:
        self._file.close()


class LedgerSource:
    """The ledger as it is: each read is a window of its own, in which no sync can write to a file.

    ``check``: whether a reader's SQL is one query; a server refuses anything else by itself.
    """

    manifest: Manifest | None = None

    def __init__(self, ledger: Ledger, *, check: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._check = check
        self.columns: Mapping[str, tuple[Column, ...]] = views()

    @property
    def location(self) -> str:
        return f"the ledger {self._ledger.location}, as it is now"

    def sql_name(self, table: str) -> str:
        return f'{SCHEMA}."{table}"'

    def check(self, text: str) -> None:
        self._check(text)

    def arrow(self, text: str, params: Mapping[str, Any]) -> Any:
        try:
            with reading_errors(), self._ledger.read("dataset") as tx:
                return tx.arrow(text, params)
        except ReaderSqlError as error:
            raise DatasetError(str(error)) from error

    def close(self) -> None:
        """Nothing is open between reads."""


def age_in_words(moment: datetime) -> str:
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
