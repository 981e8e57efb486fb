"""What `ledger copy` does."""

import os

from surgical_pipeline.cli.environment import EXIT_USAGE, fail, ledger_errors, usage_errors
from surgical_pipeline.cli.output import EXIT_CODES
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.ledger.copying import Copied, copy_ledger
from surgical_pipeline.ledger.opening import open_rows
from surgical_pipeline.settings import Settings


def copy_between(source: str, destination: str) -> Copied:
    """Copy one ledger to another; each is a path or an address.

    Raises:
        typer.Exit: 2 if one cannot be a ledger or the destination holds another; 1 if one cannot be used or they
            differ; 130 if it was stopped.
    """
    with usage_errors():
        ours, theirs = (
            open_rows(Settings.from_environment({**os.environ, "SURGICAL_LEDGER": text}))
            for text in (source, destination)
        )
    if not ours.exists:
        fail(f"there is no ledger at {ours.location}", code=EXIT_USAGE)
    with ledger_errors():
        try:
            return copy_ledger(ours, theirs)
        except KeyboardInterrupt:
            fail("stopped; the same command goes on where it was", code=EXIT_CODES[RunStatus.CANCELLED])
