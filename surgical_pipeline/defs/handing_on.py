"""How our ops hand values on: as files in Dagster's own storage, whatever `io_manager` a deployment has.

Somebody's IO manager may make tables of data frames; it would not take our values.
"""

from typing import Any

import dagster as dg

from surgical_pipeline.defs.dagster_internals import OutputDefinition

VALUES = "surgical_values"
"""The resource's key, which nobody else's resource has: definitions are merged."""
HANDING_ON = {VALUES: dg.FilesystemIOManager()}
NOTHING = dg.Out(dg.Nothing, io_manager_key=VALUES)
"""Of an op that writes elsewhere."""


class StoredElsewhere(dg.GraphOut):
    """An output of our graph, whose op writes elsewhere."""

    def to_definition(self, name: str | None) -> OutputDefinition:
        return OutputDefinition(name=name, description=self.description, io_manager_key=VALUES)


def handed_on(kind: type[Any] | None) -> dg.Out:
    """A small picklable value for the next op; None: of any type."""
    return dg.Out(kind, io_manager_key=VALUES)


def stored_elsewhere(spec: dg.AssetSpec) -> dg.AssetSpec:
    """An asset for whose value no IO manager is asked."""
    return spec.with_io_manager_key(VALUES)
