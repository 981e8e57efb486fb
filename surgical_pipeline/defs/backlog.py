"""The job `embed_backlog`: the only embed that looks for what is missing. No surgical run starts it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.execution.api import execute_run_iterator
from pydantic import Field

from surgical_pipeline.defs.gateways import Gateways, RunGateways
from surgical_pipeline.defs.session import run_async
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.ledger.backlog import UnknownProjectError
from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.settings import SettingsError
from surgical_pipeline.stages.backlog import BacklogProgress, run_embed_backlog

JOB_NAME = "embed_backlog"
Watch = Callable[[BacklogProgress], None]


class BacklogConfig(dg.Config):
    """What to embed; as it stands, every document that lacks a vector of the configured embedder's model."""

    project: str = Field(default="", description="Only this project: its path, such as group/project, or its id.")
    prune: bool = Field(
        default=False,
        description="Then drop the vectors of other models, of documents that have current ones of this model.",
    )


@dg.op(required_resource_keys={"gateways", "watch"}, out=dg.Out(dg.Nothing))
def embed_missing(context: dg.OpExecutionContext, config: BacklogConfig) -> None:
    """Embed what is missing, in batches; the vectors carry this run's id."""
    gateways: RunGateways = context.resources.gateways
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
        raise _failed(error.code, str(error)) from error
    except UnknownProjectError as error:
        raise _failed(FailureCode.PROJECT_NOT_FOUND, str(error)) from error
    if progress.ended_by:
        raise _failed(progress.ended_by.code, progress.ended_by.message)
    context.add_output_metadata({"model": embedder.name, **_figures(progress)})


def _figures(progress: BacklogProgress) -> dict[str, Any]:
    return {
        "documents without a vector": progress.total,
        "embedded": progress.embedded,
        "reused": progress.reused,
        "superseded": progress.superseded,
        "failed": len(progress.failed),
        "pruned": progress.pruned,
        "first failures": "\n".join(f"{one.document_id}: {one.failure.message}" for one in progress.failed[:10]),
    }


def _failed(code: FailureCode, message: str) -> dg.Failure:
    return dg.Failure(
        f"{code}: {message}",
        metadata={"code": str(code), "what to do": code.advice},
        allow_retries=False,
    )


@dg.graph
def backlog_graph() -> None:
    embed_missing()


def _job(watch: Watch) -> dg.JobDefinition:
    return backlog_graph.to_job(
        name=JOB_NAME,
        description="Embed every document that lacks a vector of its present text by the configured model.",
        resource_defs={"gateways": Gateways(), "watch": dg.ResourceDefinition.hardcoded_resource(watch)},
        executor_def=dg.in_process_executor,
    )


embed_backlog = _job(lambda _progress: None)


@dataclass(frozen=True, slots=True)
class BacklogRun:
    """``progress``: the last that was reported, None where it never began. ``error``: what ended it early.

    ``interrupted``: that was Ctrl+C, SIGTERM or Dagster's "terminate".
    """

    run_id: str
    progress: BacklogProgress | None
    error: str | None = None
    interrupted: bool = False


def launch_backlog(project: str | None, *, prune: bool, log_level: str, watch: Watch) -> BacklogRun:
    """Run the job to its end in this process; it is in Dagster's UI like any other run."""
    reported: list[BacklogProgress] = []

    def note(progress: BacklogProgress) -> None:
        reported[:] = [progress]
        watch(progress)

    job, failed = _job(note), None
    config = {
        "ops": {embed_missing.name: {"config": {"project": project or "", "prune": prune}}},
        "loggers": {"console": {"config": {"log_level": log_level}}},
    }
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(job_def=job, run_config=config)
        for event in execute_run_iterator(InMemoryJob(job), run, instance):
            failed = event.step_failure_data if event.is_step_failure else failed
    progress = reported[0] if reported else None
    if failed is None:
        return BacklogRun(run.run_id, progress)
    if failed.error and failed.error.cls_name == DagsterExecutionInterruptedError.__name__:
        return BacklogRun(run.run_id, progress, f"{FailureCode.CANCELLED}: it was told to stop", interrupted=True)
    told = failed.user_failure_data.description if failed.user_failure_data else None
    return BacklogRun(
        run.run_id, progress, told or (failed.error.message.strip() if failed.error else "it failed")
    )
