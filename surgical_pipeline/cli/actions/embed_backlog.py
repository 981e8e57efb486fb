"""The embedding backlog from a terminal: check what can be checked, run the job, print the result."""

import time

from pydantic import BaseModel
from rich.table import Column

from surgical_pipeline.cli.environment import (
    EXIT_FAILED,
    EXIT_USAGE,
    existing_ledger,
    fail,
    ledger_errors,
    usage_errors,
)
from surgical_pipeline.cli.output import EXIT_CODES
from surgical_pipeline.cli.progress import Display, shown_progress
from surgical_pipeline.cli.terminal import print_rows, say, words
from surgical_pipeline.defs.launch import launch_backlog
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.domain.progress import Progress
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.ledger.backlog import UnknownProjectError, find_project
from surgical_pipeline.settings import Settings
from surgical_pipeline.stages.shared.backlog import BacklogProgress


class BacklogFailure(BaseModel):
    """A document whose text the model refused."""

    document_id: str
    code: str
    message: str


class BacklogReport(BaseModel):
    """What `embed-backlog --json` prints; counts are documents. ``remaining``: not even tried."""

    schema_version: int = 1
    run_id: str
    model: str
    project: str | None
    total: int
    embedded: int
    reused: int
    superseded: int
    failed: list[BacklogFailure]
    remaining: int
    pruned: int
    error: str | None
    interrupted: bool

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return EXIT_CODES[RunStatus.CANCELLED]
        if self.error:
            return EXIT_FAILED
        return EXIT_CODES[RunStatus.SUCCEEDED_WITH_WARNINGS if self.failed else RunStatus.SUCCEEDED]


def run_backlog(project: str | None, *, prune: bool, verbose: bool, display: Display) -> BacklogReport:
    """Run the job and print its result.

    Raises:
        typer.Exit: 2 for a wrong setting or project, 1 without a ledger; nothing has run.
    """
    model = _checked_model(project)
    watched = _Watched()
    with shown_progress(watched.look, display), ledger_errors():
        run = launch_backlog(project, prune=prune, log_level="INFO" if verbose else "CRITICAL", watch=watched.note)
    final = run.progress or BacklogProgress(total=0)
    return BacklogReport(
        run_id=run.run_id,
        model=model,
        project=project,
        total=final.total,
        embedded=final.embedded,
        reused=final.reused,
        superseded=final.superseded,
        failed=[
            BacklogFailure(document_id=one.document_id, code=one.failure.code, message=one.failure.message)
            for one in final.failed
        ],
        remaining=max(0, final.total - final.done),
        pruned=final.pruned,
        error=run.error,
        interrupted=run.interrupted,
    )


def print_backlog(report: BacklogReport) -> None:
    columns = [
        Column("code", no_wrap=True),
        Column("document", overflow="fold"),
        Column("failure", overflow="fold"),
    ]
    rows = [(words((one.code, "yellow")), words(one.document_id), words(one.message)) for one in report.failed]
    if rows:
        print_rows(columns, rows)
    if report.error:
        say((report.error, "red"))
        say("Call it again: it goes on where it stopped.")
    say(
        f"{report.model}: {report.total} documents had no vector; embedded: {report.embedded}, reused: "
        f"{report.reused}, superseded: {report.superseded}, failed: {len(report.failed)}, left: {report.remaining}"
        + (f"; vectors of other models dropped from {report.pruned}" if report.pruned else "")
    )


class _Watched:
    """What the job last reported, for whoever looks at it in between."""

    def __init__(self) -> None:
        self._last: BacklogProgress | None = None
        self._began = 0.0

    def note(self, progress: BacklogProgress) -> None:
        if self._last is None:
            self._began = time.monotonic()
        self._last = progress

    def look(self) -> Progress | None:
        if self._last is None:
            return None
        return Progress(
            "embedding",
            self._last.done,
            self._last.total,
            failed=len(self._last.failed),
            unit="documents",
            seconds=time.monotonic() - self._began,
        )


def _checked_model(project: str | None) -> str:
    """The embedder's name, after checking everything that the job needs."""
    with usage_errors():
        settings = Settings.from_environment()
        _ = settings.dagster_home
        try:
            model = settings.embedder.create().name  # loads and requests nothing yet
        except EmbedderError as error:
            fail(str(error), code=EXIT_USAGE)
    ledger = existing_ledger(settings)
    with ledger_errors(EXIT_USAGE), ledger.read("project") as tx:
        try:
            if project is not None:
                find_project(tx, project)
        except UnknownProjectError as error:
            fail(str(error), code=EXIT_USAGE)
    return model
