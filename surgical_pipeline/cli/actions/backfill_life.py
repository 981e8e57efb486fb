"""What the commands do with backfills that are there: list, show, cancel, prune."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from surgical_pipeline.cli.actions.backfill_output import print_backfills, print_status
from surgical_pipeline.cli.environment import (
    EXIT_FAILED,
    EXIT_USAGE,
    fail,
    ledger_errors,
    usage_errors,
)
from surgical_pipeline.cli.terminal import print_json, say, tell
from surgical_pipeline.defs.backfill_commands import Backfills, opened_backfills
from surgical_pipeline.defs.backfill_life import Cancelling
from surgical_pipeline.domain.backfill import BackfillError
from surgical_pipeline.domain.words import counted
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings


def show_list(limit: int, *, as_json: bool) -> None:
    with _opened() as backfills:
        found = backfills.latest(limit)
    if not as_json:
        print_backfills(found)
        return
    print_json(
        [
            {
                "backfill_id": one.id,
                "title": one.record.title,
                "state": str(one.state),
                "dagster_status": one.record.status.value,
                "made_at": one.made_at,
                "ended_at": one.ended_at,
                "entities": one.entities,
                "runs": len(one.keys),
                "resumes": one.resumes,
                "local": one.worker is not None,
            }
            for one in found
        ]
    )


def show_status(prefix: str, *, as_json: bool) -> None:
    with _opened() as backfills:
        status = backfills.status(prefix)
    if as_json:
        print_json(status)
    else:
        print_status(status)


def cancel_backfill(prefix: str, *, as_json: bool) -> NoReturn:
    """Exit code 1 if nobody is there to end its runs."""
    told = -1

    def watch(look: Cancelling) -> None:
        nonlocal told
        if look.ending != told:
            told = look.ending
            tell(f"{counted(look.ending, 'run')} still to end")

    with _opened() as backfills:
        backfill = backfills.find(prefix)
        was_over = backfill.state.over
        look = backfills.cancel(backfill.id, watch=watch)
    if as_json:
        print_json(
            {
                "backfill_id": backfill.id,
                "state": str(look.state),
                "was_over": was_over,
                "runs_not_ended": look.ending,
                "abandoned": look.abandoned,
            }
        )
    elif was_over:
        say(f"Backfill {backfill.id} is over: {look.state}.")
    elif look.abandoned:
        say(
            f"It is to be cancelled, but no daemon of Dagster is there: nobody will end it, nor its "
            f"{counted(look.ending, 'run')}, before one starts (`dagster dev`)."
        )
    else:
        say(f"Backfill {backfill.id} has ended: {look.state}.")
    raise typer.Exit(EXIT_FAILED if look.abandoned else 0)


def prune_backfill(prefix: str, *, as_json: bool) -> None:
    with _opened() as backfills:
        pruned = backfills.prune(prefix)
    if as_json:
        print_json({"removed": pruned.removed, "kept": pruned.kept})
        return
    stay = "stays, which another backfill needs" if pruned.kept == 1 else "stay, which other backfills need"
    kept = f"; {pruned.kept:,} {stay}" if pruned.kept else ""
    say(f"{counted(pruned.removed, 'key')} removed{kept}.")


@contextmanager
def _opened() -> Iterator[Backfills]:
    """Dagster's instance and the ledger, and a line for what goes wrong with either."""
    with usage_errors():
        settings = Settings.from_environment()
        _ = settings.dagster_home
        ledger = open_ledger(settings)
    with ledger_errors(), opened_backfills(ledger) as backfills:
        try:
            yield backfills
        except BackfillError as error:
            fail(str(error), code=EXIT_USAGE)
