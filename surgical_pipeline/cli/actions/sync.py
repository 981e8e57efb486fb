"""A sync from a terminal: check what can be checked first, run the job with progress, read back the result."""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import typer
from pydantic import BaseModel

from surgical_pipeline.cli.environment import EXIT_FAILED, EXIT_USAGE, fail, ledger_errors, usage_errors
from surgical_pipeline.cli.interrupts import Interrupts
from surgical_pipeline.cli.output import EXIT_CODES, print_result
from surgical_pipeline.cli.progress import Display, shown_progress
from surgical_pipeline.cli.terminal import print_json
from surgical_pipeline.defs.launch import launched, refused, run_config
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import Failure
from surgical_pipeline.domain.lifecycle import Phase, RunStatus
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.ledger.errors import LedgerError, LockTimeoutError
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import Settings


def run_sync(
    scope: Scope,
    *,
    budgets: Budgets,
    dependents: Sequence[Dependent],
    verbose: bool,
    display: Display,
    interrupts: Interrupts,
    only_changed: bool = False,
) -> SyncResult:
    """Run the job and return what the ledger says about it, even if it was cancelled.

    Raises:
        typer.Exit: 2 for a wrong setting, before anything runs; 1 if Dagster's storage cannot be used.
    """
    config = run_config(
        scope,
        budgets=budgets,
        dependents=dependents,
        log_level="INFO" if verbose else "CRITICAL",
        only_changed=only_changed,
    )
    try:
        ledger = checked_ledger()
    except LockTimeoutError as error:
        failure = Failure(code=error.code, message=str(error), stage=str(Phase.QUEUED))
        return refused(config, failure, ledger=open_ledger(Settings.from_environment()))
    return execute(config, ledger=ledger, display=display, interrupts=interrupts)


def execute(
    config: Mapping[str, Any],
    *,
    ledger: Ledger,
    display: Display,
    interrupts: Interrupts,
    parent_run_id: str | None = None,
) -> SyncResult:
    """Run the job with this config, with progress, and read back the result."""
    with ledger_errors(), launched(config, ledger=ledger, parent_run_id=parent_run_id) as run:
        with shown_progress(lambda: run.progress, display):
            run.execute(cancelled=interrupts.asked)
        return run.result()


def checked_ledger() -> Ledger:
    """Everything that this command needs, checked before the first request is sent.

    Raises:
        typer.Exit: something is missing or wrong.
        LockTimeoutError: others hold the ledger.
    """
    with usage_errors():
        settings = Settings.from_environment()
        _ = settings.gitlab, settings.dagster_home
        ledger = open_ledger(settings)
        try:
            settings.embedder.create()  # loads and requests nothing yet
        except EmbedderError as error:
            fail(str(error), code=EXIT_USAGE)
    if ledger.exists:
        try:
            with ledger.read("version"):
                pass
        except LockTimeoutError:
            raise
        except LedgerError as error:
            fail(str(error), code=EXIT_USAGE)
    return ledger


def conclude(result: SyncResult | None, *, document: BaseModel | None) -> NoReturn:
    """Print the document as JSON, or the result for people, and end the command with its exit code."""
    if document is not None:
        print_json(document)
    elif result is not None:
        print_result(result)
    raise typer.Exit(0 if result is None else EXIT_CODES.get(RunStatus(result.completion_status), EXIT_FAILED))
