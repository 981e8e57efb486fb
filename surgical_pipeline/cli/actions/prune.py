"""Pruning from a terminal: understand what is asked for, prune, and say what it came to."""

from collections.abc import Mapping

from surgical_pipeline.cli.environment import EXIT_USAGE, fail, ledger_errors, usage_errors
from surgical_pipeline.cli.output import EXIT_CODES
from surgical_pipeline.cli.terminal import say
from surgical_pipeline.defs.dagster_home import opened_instance
from surgical_pipeline.defs.pruning.both_sides import prune
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.domain.pruning import PruneError, PruneReport, PruneWish, parse_age, parse_triggers
from surgical_pipeline.domain.words import size_in_words
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.settings import Settings


def run_prune(older_than: str, *, trigger: str | None, dry_run: bool) -> PruneReport:
    """Prune, and say what it came to.

    Raises:
        typer.Exit: 2 for a wrong age, trigger or setting; 1 if Dagster's storage or the ledger cannot be used; 130
            if it was stopped.
    """
    try:
        age = parse_age(older_than)
        chosen = {} if trigger is None else {"triggers": parse_triggers(trigger)}
    except PruneError as error:
        fail(str(error), code=EXIT_USAGE)
    wish = PruneWish(before=utc_now() - age, dry_run=dry_run, **chosen)
    with usage_errors(), ledger_errors():
        settings = Settings.from_environment()
        _ = settings.dagster_home, open_ledger(settings)
        try:
            with opened_instance() as instance:
                return prune(instance, settings, wish)
        except KeyboardInterrupt:
            fail(
                "stopped; what was deleted is deleted, and the next call goes on",
                code=EXIT_CODES[RunStatus.CANCELLED],
            )


def print_report(report: PruneReport) -> None:
    """A line for Dagster and one for the ledger, and under each what stays and why."""
    would = "would be deleted" if report.dry_run else "deleted"
    dagster, ledger = report.dagster, report.ledger
    more = f"; of {dagster.leftovers:,} more runs it had only files left" if dagster.leftovers else ""
    on_disk = f"{dagster.files:,} files, {size_in_words(dagster.bytes)} on the disk"
    say(f"Dagster: {dagster.runs:,} runs {would}, {on_disk}{more}")
    _say_kept(dagster.kept)
    size = (
        size_in_words(ledger.bytes_before)
        if report.dry_run
        else f"{size_in_words(ledger.bytes_before)} before, {size_in_words(ledger.bytes_after)} after"
    )
    say(f"ledger: {ledger.runs:,} runs and {ledger.events:,} settled events {would}; {size}")
    _say_kept(ledger.kept)
    if ledger.leftovers:
        what = f"{ledger.leftovers} files of killed backups or compactions {would}"
        say(f"ledger: {what}, {size_in_words(ledger.leftover_bytes)}")
    if ledger.runs and not report.dry_run:
        say("Its file uses the space again; `surgical-pipeline ledger compact` gives it back to the disk.")


def _say_kept(kept: Mapping[str, int]) -> None:
    for reason, count in kept.items():
        say(f"  {count:,} old {'run stays' if count == 1 else 'runs stay'}: {reason}")
