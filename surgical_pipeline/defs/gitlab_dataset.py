"""The IO manager `gitlab_dataset`: our assets as DataFrames, for other people's assets.

    @dg.asset(ins={"issues": dg.AssetIn(["gitlab", "issues"], input_manager_key="gitlab_dataset")})
    def triage(issues: pandas.DataFrame) -> ...: ...

Our own assets are written by runs of a sync and by nothing else, so it only reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import dagster as dg
from pydantic import Field, PrivateAttr

from surgical_pipeline.dataset import Dataset, open_dataset
from surgical_pipeline.dataset.errors import DatasetError
from surgical_pipeline.dataset.publish_settings import PublishSettings
from surgical_pipeline.defs.dagster_words import as_cause, as_dagster_failure
from surgical_pipeline.defs.dataset_inputs import Asked, Partitions, asked_of, tables_of
from surgical_pipeline.domain.failures import Failure
from surgical_pipeline.domain.foreign_text import visible
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.settings import Settings, SettingsError

READER = "gitlab_dataset"
"""The resource's name in our Definitions."""
_FRAME, _ARROW, _WHOLE = "pandas.DataFrame", "pyarrow.Table", "surgical_pipeline.dataset.Dataset"


class GitLabDataset(dg.ConfigurableIOManager):
    """Gives an input a ``pandas.DataFrame``, a ``pyarrow.Table`` or a whole ``Dataset``, as it is annotated.

    All inputs of a step come from one published version, that which was current at its first. Where nothing is
    published they come from the ledger, each as it is then. Both leave out what is confidential unless
    SURGICAL_PUBLISH_CONFIDENTIAL is true.
    """

    path: str = Field(
        default="",
        description="A folder of published copies, one of its versions, or a ledger. Empty: what SURGICAL_PUBLISH "
        "names if anything is published there, else the ledger.",
    )
    _opened: tuple[str, Dataset] | None = PrivateAttr(default=None)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read what the input asks for, and say in its metadata where it came from."""
        with _told_by_dagster():
            tables_of(_key_of(context))
            dataset = self._dataset_for(context)
            if _annotated(context) == _WHOLE:
                return _whole(dataset, context)
            asked = asked_of(
                _key_of(context),
                {name: _plain(value) for name, value in context.definition_metadata.items()},
                columns_of=lambda name: dataset.table(name).columns,
                partitions=_partitions_of(context),
            )
            return _rows(dataset, asked, context)

    def handle_output(self, context: dg.OutputContext, obj: object) -> NoReturn:  # noqa: ARG002  Dagster's signature
        """Refuse: whose asset it is has an IO manager of their own."""
        raise dg.Failure(
            f"{READER} only reads, and {context.name} of {context.step_key} would be written with it: "
            "give that output another io_manager_key",
            allow_retries=False,
        )

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002  Dagster's signature
        self._close()

    def _dataset_for(self, context: dg.InputContext) -> Dataset:
        """Opened once for all inputs of a step; the next step, which may follow a publish, opens its own."""
        step = context.step_context.step.key
        if self._opened is None or self._opened[0] != step:
            self._close()
            self._opened = (step, open_dataset(self.path or None))
        return self._opened[1]

    def _close(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None


def _rows(dataset: Dataset, asked: Asked, context: dg.InputContext) -> Any:
    annotated = _annotated(context)
    if annotated not in (_FRAME, _ARROW):
        raise DatasetError(
            f"{context.name} is annotated as {annotated}: {_FRAME}, {_ARROW} or {_WHOLE} can be had"
        )
    openly = dataset.version is None and not PublishSettings.of(Settings.from_environment()).confidential
    found = dataset.table(asked.table).read(asked.columns, asked.filters, without_hidden=openly)
    _tell(dataset, context, table=asked.table, rows=found.num_rows)
    if annotated == _ARROW:
        return found
    from surgical_pipeline.dataset.frames import to_frame  # noqa: PLC0415  pandas, only where it is used

    return to_frame(found)


def _whole(dataset: Dataset, context: dg.InputContext) -> Dataset:
    if dataset.manifest is None:
        raise DatasetError(
            f"{context.name} takes a whole dataset, which is a published copy, and nothing is published: set "
            "SURGICAL_PUBLISH and publish, or take a table as a pandas.DataFrame"
        )
    _tell(dataset, context, rows=sum(table.rows for table in dataset.manifest.tables.values()))
    return dataset


def _tell(dataset: Dataset, context: dg.InputContext, *, rows: int, table: str = "all") -> None:
    made_at = dataset.made_at
    context.add_input_metadata(
        {
            "table": table,
            "rows": rows,
            "read from": visible(dataset.location),
            "version": dataset.version if made_at else "none: the ledger was read",
            "age (seconds)": round(dataset.age.total_seconds(), 3),
            **({"made at": dg.MetadataValue.timestamp(made_at)} if made_at else {}),
        },
        description=f"Read by {context.step_context.step.key}",
    )


def _key_of(context: dg.InputContext) -> tuple[str, ...]:
    if not context.has_asset_key:
        raise DatasetError(f"{context.name} takes the output of an op, and {READER} gives assets only")
    return tuple(context.asset_key.path)


def _annotated(context: dg.InputContext) -> str:
    """The type that the input is annotated with, by name: neither library is loaded for it."""
    kind = context.dagster_type.typing_type
    if kind is Any:
        return _FRAME
    if kind is Dataset:
        return _WHOLE
    module, name = getattr(kind, "__module__", ""), getattr(kind, "__name__", str(kind))
    return f"{module.partition('.')[0]}.{name}"


def _partitions_of(context: dg.InputContext) -> Partitions | None:
    """What the run is of; None where that is nothing, or has several dimensions."""
    step = context.step_context
    definition = step.run_partitions_def if step.has_partitions else None
    if definition is None or isinstance(definition, dg.MultiPartitionsDefinition):
        return None
    window = None
    if isinstance(definition, dg.TimeWindowPartitionsDefinition):
        window = (step.partition_time_window.start, step.partition_time_window.end)
    if step.has_partition_key:
        return Partitions((step.partition_key,), window)
    return Partitions(tuple(definition.get_partition_keys_in_range(step.partition_key_range)), window)


def _plain(value: object) -> object:
    return value.value if isinstance(value, dg.MetadataValue) else value


@contextmanager
def _told_by_dagster() -> Iterator[None]:
    try:
        yield
    except (SettingsError, LedgerError) as error:
        raise as_dagster_failure(Failure(code=error.code, message=str(error), stage="read")) from as_cause(error)
    except DatasetError as error:
        raise dg.Failure(visible(str(error)), allow_retries=False) from as_cause(error)
