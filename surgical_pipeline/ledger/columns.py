"""Values as the named queries take them, a list for each column, and rows as they come back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from surgical_pipeline.domain.scope import EntityKey, EntityType


def columns(rows: Sequence[Sequence[Any]], *names: str) -> dict[str, list[Any]]:
    """Rows turned into one list for each name, as ``unnest($name::TYPE[])`` takes them."""
    return {name: [row[position] for row in rows] for position, name in enumerate(names)}


def key_columns(keys: Iterable[EntityKey]) -> dict[str, list[Any]]:
    """Entities as the parameters ``$entity_types`` and ``$iids``."""
    return columns([(str(key.entity_type), key.iid) for key in keys], "entity_types", "iids")


def key_of(row: Mapping[str, Any]) -> EntityKey:
    """The entity that a row with ``entity_type`` and ``iid`` belongs to."""
    return EntityKey(EntityType(row["entity_type"]), row["iid"])
