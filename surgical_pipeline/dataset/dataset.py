"""A dataset: GitLab's data as DataFrames, from the published copy or from the ledger."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from surgical_pipeline.dataset.columns import Column
from surgical_pipeline.dataset.engine import check_reads_only
from surgical_pipeline.dataset.errors import DatasetError, UnknownNameError
from surgical_pipeline.dataset.manifest import FILE, Manifest
from surgical_pipeline.dataset.publish_settings import ON_REQUEST, folder_of
from surgical_pipeline.dataset.schema import TABLES
from surgical_pipeline.dataset.selection import select
from surgical_pipeline.dataset.sources import LedgerSource, PublishedSource, Source
from surgical_pipeline.dataset.versions import current_version
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger(__name__)
_TRIES = 3


class TableReader:
    """One table of a dataset; call it for its rows."""

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self.name = name

    @property
    def columns(self) -> tuple[Column, ...]:
        """Its columns, with type and meaning."""
        return self._source.columns[self.name]

    def __call__(self, *, columns: Sequence[str] | None = None, **filters: object) -> "pd.DataFrame":
        """The rows that pass all filters, as a DataFrame, in no particular order.

        ``columns``: only these. Filters are named like columns; see ``selection.select``.

        Raises:
            UnknownNameError: there is no such column.
            DatasetError: a value cannot be one of its column's.
            LedgerError: the ledger cannot be read.
        """
        from surgical_pipeline.dataset.frames import to_frame  # noqa: PLC0415  pandas, only where it is used

        return to_frame(self.read(columns, filters))

    def arrow(self, *, columns: Sequence[str] | None = None, **filters: object) -> Any:
        """The same as a ``pyarrow.Table``."""
        return self.read(columns, filters)

    def read(
        self,
        columns: Sequence[str] | None = None,
        filters: Mapping[str, object] | None = None,
        *,
        without_hidden: bool = False,
    ) -> Any:
        """The same, for callers with filters in a dict. ``without_hidden``: only rows that everybody may see."""
        hidden = TABLES[self.name.removeprefix("all_")].hidden if without_hidden else ""
        chosen = select(
            self._source.sql_name(self.name),
            self.columns,
            wanted=columns,
            filters=filters,
            visible=f"NOT ({hidden})" if hidden else "",
        )
        return self._source.arrow(chosen.text, chosen.params)

    def __repr__(self) -> str:
        return f"<table {self.name} of {self._source.location}>"


class Dataset:
    """GitLab's data. Each table is an attribute: ``dataset.issues(project="acme/rocket", labels=["bug"])``."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of all tables; docs/data.md tells their columns."""
        return tuple(self._source.columns)

    @property
    def location(self) -> str:
        """Where it is, and how old: in words."""
        return self._source.location

    @property
    def manifest(self) -> Manifest | None:
        """What the published version says of itself; None: it reads the ledger."""
        return self._source.manifest

    @property
    def version(self) -> int | None:
        """Which published version it is; None: it reads the ledger."""
        return self.manifest.version if self.manifest else None

    @property
    def made_at(self) -> datetime | None:
        """When that version was made; None: it reads the ledger, as it is at each read."""
        return self.manifest.made_at if self.manifest else None

    @property
    def age(self) -> timedelta:
        """How old what is read is; of the ledger 0."""
        return datetime.now(UTC) - self.made_at if self.made_at else timedelta()

    def table(self, name: str) -> TableReader:
        """The table of that name.

        Raises:
            DatasetError: there is none; the message has the nearest names.
        """
        if name in self._source.columns:
            return TableReader(self._source, name)
        if name in ON_REQUEST:
            raise DatasetError(f"{name} are not published here: publish with SURGICAL_PUBLISH_WITH={name}")
        if name.startswith("all_") and name.removeprefix("all_") in self._source.columns:
            raise DatasetError(
                f"There is no {name} in a published copy, which has no deleted rows: read the ledger"
            )
        raise UnknownNameError("table", name, self.tables)

    def __getattr__(self, name: str) -> TableReader:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.table(name)
        except DatasetError as error:
            raise AttributeError(str(error)) from error

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.tables]

    def arrow(self, name: str, *, columns: Sequence[str] | None = None, **filters: object) -> Any:
        """A table as a ``pyarrow.Table``; filters as for its DataFrame."""
        return self.table(name).read(columns, filters)

    def sql(self, query: str, **parameters: object) -> "pd.DataFrame":
        """The rows of your own query. Tables are named as here; parameters are written ``$name``.

        On a ledger in a file, syncs wait while it runs. On one in PostgreSQL it is PostgreSQL's SQL.

        Raises:
            DatasetError: it is no query, or a wrong one; the message is the database's.
            LedgerError: the ledger cannot be read.
        """
        from surgical_pipeline.dataset.frames import to_frame  # noqa: PLC0415  pandas, only where it is used

        self._source.check(query)
        return to_frame(self._source.arrow(query, parameters))

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Dataset: {self._source.location}>"


def open_dataset(path: Path | str | None = None) -> Dataset:
    """What was synced, to be read.

    Args:
        path: a folder of published copies, one of its versions, or a ledger: a file or a ``postgresql://``
            address. None: the folder that ``SURGICAL_PUBLISH`` names if anything is published there, else the
            ledger that the settings name.

    Raises:
        DatasetError: there is nothing to read, or it cannot be read.
        SettingsError: no path is given, and the settings name no ledger.
        LedgerMissingError: the ledger that the settings name does not exist yet.
    """
    settings = Settings.from_environment()
    if path is None:
        folder = folder_of(settings)
        source = _published(folder) if folder else None
        found: Source = source or _of_ledger(settings)
    elif (there := _with_ledger(settings, str(path))).ledger_address is not None:
        found = _of_ledger(there)
    else:
        found = _at(Path(path).expanduser().absolute(), settings)
    _LOG.info("reading %s", found.location)
    return Dataset(found)


def _at(path: Path, settings: Settings) -> Source:
    if not path.exists():
        raise DatasetError(f"{path} does not exist: name a folder of published copies, or a ledger")
    if path.is_dir():
        source = _version(path.resolve()) if (path / FILE).exists() else _published(path)
        if source is None:
            raise DatasetError(
                f"Nothing is published in {path}: run `surgical-pipeline publish`, or name a ledger"
            )
        return source
    if (path.resolve().parent / FILE).exists():
        return _version(path.resolve().parent)
    return _of_ledger(_with_ledger(settings, str(path)))


def _with_ledger(settings: Settings, ledger: str) -> Settings:
    return Settings(environment={**settings.environment, "SURGICAL_LEDGER": ledger})


def _published(folder: Path) -> Source | None:
    """The current version. It may be replaced, and after a while removed, while it is being opened."""
    for _ in range(_TRIES):
        version = current_version(folder)
        if version is None:
            return None
        with suppress(FileNotFoundError):
            return _version(version)
    raise DatasetError(f"The versions in {folder} go faster than they can be opened: publish less often")


def _version(version: Path) -> Source:
    return PublishedSource(version)


def _of_ledger(settings: Settings) -> Source:
    ledger = open_ledger(settings)
    with ledger.read("dataset"):  # says now what is wrong, and migrates an older one
        pass
    return LedgerSource(ledger, check=check_reads_only if settings.ledger_address is None else _by_the_server)


def _by_the_server(text: str) -> None:
    """It is the query of a cursor, in a transaction that only reads."""
