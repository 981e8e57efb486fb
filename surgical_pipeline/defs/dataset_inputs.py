"""What an input of somebody's asset asks of the dataset: from the asset's key and the input's metadata. Pure.

The one place that says which typed tables stand behind which of our assets.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from surgical_pipeline.dataset.columns import Column, ColumnType
from surgical_pipeline.dataset.errors import DatasetError

ASSET_TABLES: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType(
    {
        ("gitlab", "issues"): ("issues",),
        ("gitlab", "merge_requests"): ("merge_requests",),
        ("gitlab", "discussions"): ("discussions",),
        ("gitlab", "resource_events"): ("label_events", "state_events", "milestone_events"),
        ("documents",): ("documents",),
        ("embeddings",): ("embeddings",),
        ("published",): (),
    }
)
"""The end of each asset's key, with the table that an input gets unless its metadata names another.

Where it is not exactly one, the metadata must name one. Whatever stands before the end is a prefix that somebody
gave all our assets.
"""

TABLE, COLUMNS, PARTITION_BY = "table", "columns", "partition_by"
"""Metadata of an input that is no filter. Names with a slash are somebody else's."""
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Partitions:
    """What the run is of. ``window``: from when to before when, if the partitions are times."""

    keys: tuple[str, ...]
    window: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    table: str
    columns: tuple[str, ...] | None
    filters: Mapping[str, object]


def asked_of(
    key: Sequence[str],
    metadata: Mapping[str, Any],
    *,
    columns_of: Callable[[str], Sequence[Column]],
    partitions: Partitions | None = None,
) -> Asked:
    """The table, columns and filters that an input asks for.

    Args:
        key: of the asset that the input takes.
        metadata: of the input: ``table``, ``columns``, ``partition_by``, and filters like those of a Dataset.
        columns_of: what a table has; raises DatasetError for one that does not exist.
        partitions: of the run; ``partition_by`` names the column that they are of.

    Raises:
        DatasetError: it is no asset of ours, or the metadata cannot be.
    """
    tables = tables_of(key)
    own = {name: value for name, value in metadata.items() if "/" not in name}
    table = own.pop(TABLE, tables[0] if len(tables) == 1 else None)
    if not isinstance(table, str):
        some = f"one of {', '.join(tables)}" if tables else "a table of docs/data.md"
        raise DatasetError(f'{"/".join(key)} is several tables: metadata={{"{TABLE}": …}} names {some}')
    wanted = own.pop(COLUMNS, None)
    if isinstance(wanted, str):
        raise DatasetError(f'{COLUMNS}={wanted!r} cannot be: give a list, such as ["{wanted}"]')
    by = own.pop(PARTITION_BY, None)
    if by is not None:
        own |= _of_partitions(by, columns_of(table), partitions, table=table)
    return Asked(table, None if wanted is None else tuple(wanted), MappingProxyType(own))


def tables_of(key: Sequence[str]) -> tuple[str, ...]:
    """The tables of an asset by the end of its key.

    Raises:
        DatasetError: it is no asset of ours.
    """
    for end, tables in ASSET_TABLES.items():
        if tuple(key[-len(end) :]) == end:
            return tables
    known = ", ".join("/".join(end) for end in ASSET_TABLES)
    raise DatasetError(f"{'/'.join(key)} is no asset of GitLab's data. There are {known}, also with a prefix")


def _of_partitions(
    by: object, columns: Sequence[Column], partitions: Partitions | None, *, table: str
) -> Mapping[str, object]:
    """The partitions as filters of the column that they are of."""
    if partitions is None:
        raise DatasetError(
            f"{PARTITION_BY}={by!r} is for assets with partitions of one dimension, and this run has none"
        )
    kind = next((column.type for column in columns if column.name == by), None)
    if kind not in (ColumnType.TIME, ColumnType.DAY):
        return {str(by): list(partitions.keys)}
    if partitions.window is None:
        raise DatasetError(f"{table}.{by} holds times, and {', '.join(partitions.keys)} is none")
    stem = str(by).removesuffix("_at")
    start, end = partitions.window
    return {f"{stem}_after": start, f"{stem}_before": end - _MICROSECOND}
