"""The job `embed_backlog`: the only embed that searches for missing vectors. No surgical run starts it."""

from collections.abc import Callable
from typing import Any

import dagster as dg
from pydantic import Field

from surgical_pipeline.defs.dagster_words import as_cause, as_dagster_failure
from surgical_pipeline.defs.event_loop import run_async
from surgical_pipeline.defs.gateways import GATEWAYS, RESOURCES, gateways_of
from surgical_pipeline.defs.handing_on import NOTHING
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.foreign_text import on_one_line
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.ledger.backlog import UnknownProjectError
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.settings import SettingsError
from surgical_pipeline.stages.shared.backlog import STAGE, BacklogProgress, run_embed_backlog

JOB_NAME = "embed_backlog"
Watch = Callable[[BacklogProgress], None]


class BacklogConfig(dg.Config):
    """What to embed; as it stands, every document that lacks a vector of the configured embedder's model."""

    project: str = Field(default="", description="Only this project: its path, such as group/project, or its id.")
    prune: bool = Field(
        default=False,
        description="Then drop the vectors of other models, of documents that have current ones of this model.",
    )


@dg.op(required_resource_keys={GATEWAYS, "watch"}, out=NOTHING)
def embed_missing(context: dg.OpExecutionContext, config: BacklogConfig) -> None:
    """Embed what is missing, in batches; the vectors carry this run's id."""
    gateways = gateways_of(context)
    watch: Watch = context.resources.watch

    def report(progress: BacklogProgress) -> None:
        context.log.info("%d of %d documents", progress.done, progress.total)
        watch(progress)

    try:
        ledger, embedder = gateways.ledger, gateways.embedder
        progress = run_async(
            lambda: run_embed_backlog(
                ledger,
                embedder,
                run_id=context.run_id,
                project=config.project or None,
                prune=config.prune,
                report=report,
            )
        )
    except (SettingsError, EmbedderError, LedgerError) as error:
        raise _failed(error.code, error) from as_cause(error)
    except UnknownProjectError as error:
        raise _failed(FailureCode.PROJECT_NOT_FOUND, error) from as_cause(error)
    if progress.ended_by:
        raise as_dagster_failure(progress.ended_by)
    context.add_output_metadata({"model": embedder.name, **_figures(progress)})


def _figures(progress: BacklogProgress) -> dict[str, Any]:
    return {
        "documents without a vector": progress.total,
        "embedded": progress.embedded,
        "reused": progress.reused,
        "superseded": progress.superseded,
        "failed": len(progress.failed),
        "pruned": progress.pruned,
        "first failures": "\n".join(
            on_one_line(f"{one.document_id}: {one.failure.message}") for one in progress.failed[:10]
        ),
    }


def _failed(code: FailureCode, error: Exception) -> dg.Failure:
    return as_dagster_failure(Failure(code=code, message=str(error), stage=STAGE))


@dg.graph
def backlog_graph() -> None:
    embed_missing()


def backlog_job(watch: Watch) -> dg.JobDefinition:
    """The job, which calls ``watch``, if given, with its progress."""
    return backlog_graph.to_job(
        name=JOB_NAME,
        description="Embed every document that lacks a vector of its present text by the configured model.",
        resource_defs={
            **RESOURCES,
            "watch": dg.ResourceDefinition.hardcoded_resource(watch),
        },
        executor_def=dg.in_process_executor,
    )


embed_backlog = backlog_job(lambda _progress: None)
