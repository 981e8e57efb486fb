"""The environment of a command: `.env`, settings, and the errors that end it before anything runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer
from dotenv import dotenv_values

from surgical_pipeline.cli.terminal import tell
from surgical_pipeline.dataset.errors import DatasetError, PublishError
from surgical_pipeline.domain.scope import ScopeError
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import AmbiguousRunError, BackupRefusedError, LedgerError, LockTimeoutError
from surgical_pipeline.ledger.opening import open_ledger, open_ledger_file
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import DagsterHomeError, Settings, SettingsError

EXIT_FAILED = 1
EXIT_USAGE = 2


def load_dotenv() -> None:
    """Load variables from `.env` in this folder that the environment does not set, as `dagster dev` does.

    ``${PWD}`` means the folder the command was started in, even if the shell did not export it.
    """
    path = Path.cwd() / ".env"
    if not path.is_file():
        return
    os.environ.setdefault("PWD", str(Path.cwd()))
    for name, value in dotenv_values(path).items():
        if value is not None:
            os.environ.setdefault(name, value)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Wrong input or settings: one clear line on stderr, exit code 2, nothing has run."""
    try:
        yield
    except (ScopeError, SettingsError) as error:
        fail(str(error), code=EXIT_USAGE)


@contextmanager
def ledger_errors(code: int = EXIT_FAILED) -> Iterator[None]:
    """A ledger or Dagster storage that cannot be used: one line on stderr that says what to do."""
    try:
        yield
    except (AmbiguousRunError, BackupRefusedError) as error:
        fail(str(error), code=EXIT_USAGE)
    except (LockTimeoutError, DagsterHomeError) as error:
        fail(str(error), code=EXIT_FAILED)
    except LedgerError as error:
        fail(str(error), code=code)


@contextmanager
def dataset_errors() -> Iterator[None]:
    """A wrong table or filter: exit code 2. A copy that cannot be made: exit code 1."""
    try:
        yield
    except PublishError as error:
        fail(str(error), code=EXIT_FAILED)
    except DatasetError as error:
        fail(str(error), code=EXIT_USAGE)


def fail(message: str, *, code: int) -> NoReturn:
    """Say what is wrong on stderr, on one line, and end the command; never returns."""
    tell(f"Error: {message}", style="red")
    raise typer.Exit(code)


def existing_ledger(settings: Settings) -> Ledger:
    """The ledger for reading; if it does not exist yet, a separate error with exit code 1."""
    with usage_errors():
        ledger = open_ledger(settings)
    _must_exist(ledger)
    return ledger


def existing_ledger_file(settings: Settings) -> DuckDBLedger:
    """The same, for operations on the file as a whole."""
    with usage_errors():
        ledger = open_ledger_file(settings)
    _must_exist(ledger)
    return ledger


def _must_exist(ledger: Ledger) -> None:
    if not ledger.exists:
        fail(f"there is no ledger at {ledger.location} yet: the first sync makes it", code=EXIT_FAILED)
