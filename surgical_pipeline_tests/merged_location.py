"""Somebody else's code location with an executor, an IO manager, a logger and a sensor, and ours merged into it.

`python -m surgical_pipeline_tests.merged_location SCOPE` materializes our assets, in a process for each stage.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.definitions.reconstruct import ReconstructableRepository

from surgical_pipeline.definitions import defs as ours
from surgical_pipeline.defs.asset_keys import ASSETS

JOB = "their_job"
LOGGER = "their_logger"


class TextFiles(dg.ConfigurableIOManager):
    """An IO manager that takes text and nothing else."""

    folder: str

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        if not isinstance(obj, str):
            raise TypeError(f"this IO manager keeps text, not {type(obj).__name__}")
        (Path(self.folder) / "_".join(context.get_identifier())).write_text(obj, encoding="utf-8")

    def load_input(self, context: dg.InputContext) -> str:
        raise NotImplementedError(context.name)


@dg.asset
def documents() -> str:
    """A name that we have, too, unless ours have a prefix."""
    return "theirs"


@dg.asset(deps=ASSETS)
def downstream() -> str:
    """Theirs, of ours."""
    return "made"


@dg.op
def nothing_much() -> None:
    pass


@dg.job(name=JOB)
def their_job() -> None:
    nothing_much()


@dg.sensor(job=their_job, name="their_sensor")
def their_sensor() -> dg.SkipReason:
    return dg.SkipReason("nothing to do")


@dg.logger
def their_logger(_context: dg.InitLoggerContext) -> logging.Logger:
    return logging.getLogger("theirs")


theirs = dg.Definitions(
    assets=[downstream, *([] if documents.key in ASSETS else [documents])],
    jobs=[their_job],
    sensors=[their_sensor],
    executor=dg.multiprocess_executor,
    loggers={LOGGER: their_logger},
    resources={"io_manager": TextFiles(folder=dg.EnvVar("THEIR_FOLDER"))},
)
merged = dg.Definitions.merge(theirs, ours)


def materialize(
    instance: dg.DagsterInstance,
    block: dict[str, Any],
    *,
    options: dg.ReexecutionOptions | None = None,
    selection: tuple[dg.AssetKey, ...] = ASSETS,
) -> dg.JobExecutionResult:
    """Choose our assets on their page, write the block of run config, and wait."""
    location = ReconstructableRepository.for_module(__spec__.name, "merged")
    return dg.execute_job(
        location.get_reconstructable_job(IMPLICIT_ASSET_JOB_NAME),
        instance=instance,
        run_config=run_config(block),
        asset_selection=None if options else list(selection),
        reexecution_options=options,
    )


def run_config(block: dict[str, Any]) -> dict[str, Any]:
    return {"ops": {"surgical_sync": {"config": block}}}


def _work() -> None:
    """Materialize our assets in this process and those it starts, until it ends or somebody ends it."""
    with dg.DagsterInstance.get() as instance:
        done = materialize(instance, {"scope": sys.argv[1]})
    sys.exit(0 if done.success else 1)


COMMAND = (sys.executable, "-m", "surgical_pipeline_tests.merged_location")
"""With a scope behind it. To be called in the repository."""

if __name__ == "__main__":
    _work()
