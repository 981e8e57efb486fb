"""All tables that others read, in the order in which docs/data.md tells them."""

from collections.abc import Mapping
from types import MappingProxyType

from surgical_pipeline.dataset.columns import Column, ColumnType, Table, derived
from surgical_pipeline.dataset.tables.code import CODE
from surgical_pipeline.dataset.tables.computed import COMPUTED
from surgical_pipeline.dataset.tables.conversation import CONVERSATION
from surgical_pipeline.dataset.tables.entities import ENTITIES
from surgical_pipeline.dataset.tables.history import HISTORY
from surgical_pipeline.dataset.tables.ours import OURS

SCHEMA = "gitlab"
"""The schema of the views in a ledger, and the name of the published database."""

DELETED_AT = derived("deleted_at", ColumnType.TIME, "when it was found to be deleted in GitLab; NULL: it is there")

TABLES: Mapping[str, Table] = MappingProxyType(
    {table.name: table for table in (*ENTITIES, *CONVERSATION, *HISTORY, *CODE, *COMPUTED, *OURS)}
)


def views() -> dict[str, tuple[Column, ...]]:
    """Every view of a ledger with its columns, those with deleted rows (``all_…``) too."""
    found: dict[str, tuple[Column, ...]] = {}
    for table in TABLES.values():
        if table.deletable:
            found[f"all_{table.name}"] = (*table.columns, DELETED_AT)
        found[table.name] = table.columns
    return found
