"""How our ops hand values on: as files in Dagster's own storage, whatever `io_manager` a deployment has.

Somebody's IO manager may make tables of data frames; it would not take our values.
"""

from typing import Any

import dagster as dg

VALUES = "surgical_values"
"""The resource's key, which nobody else's resource has: definitions are merged."""

NOT_HERE = (
    "what the stages before handed on is not in this machine's DAGSTER_HOME: an executor that starts stages on "
    "several machines needs one that all of them share"
)
"""What a stage says that cannot begin with preflight, as the stages before are of the same run."""


class FilesOfThisMachine(dg.IOManager):
    """``None`` for a value that is not here: what made it ran on another machine, or somebody deleted it."""

    def __init__(self, files: dg.IOManager) -> None:
        self._files = files

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        self._files.handle_output(context, obj)

    def load_input(self, context: dg.InputContext) -> Any:
        try:
            return self._files.load_input(context)
        except FileNotFoundError:
            return None


class Values(dg.ConfigurableIOManagerFactory[FilesOfThisMachine]):
    """Below Dagster's `storage`, as its own `FilesystemIOManager` has them."""

    def create_io_manager(self, context: dg.InitResourceContext) -> FilesOfThisMachine:
        return FilesOfThisMachine(dg.FilesystemIOManager().create_io_manager(context))


HANDING_ON = {VALUES: Values()}
NOTHING = dg.Out(dg.Nothing, io_manager_key=VALUES)
"""Of an op that writes elsewhere."""


def outputs_stored_elsewhere(graph: dg.GraphDefinition) -> dg.GraphDefinition:
    """The graph, whose outputs ask for no other IO manager than its ops' do.

    For a run of chosen assets Dagster looks for the IO manager of each output of a graph, and `GraphOut` cannot
    name one: it would be the deployment's own.
    """
    for output in graph.output_defs:
        output._io_manager_key = VALUES  # noqa: SLF001  nothing public sets it
    return graph


def handed_on(kind: type[Any] | None) -> dg.Out:
    """A small picklable value for the next op; None: of any type."""
    return dg.Out(kind, io_manager_key=VALUES)


def stored_elsewhere(spec: dg.AssetSpec) -> dg.AssetSpec:
    """An asset for whose value no IO manager is asked."""
    return spec.with_io_manager_key(VALUES)
