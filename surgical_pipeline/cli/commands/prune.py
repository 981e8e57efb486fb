"""`surgical-pipeline prune`: delete what is old from Dagster and the ledger. Never content."""

from typing import Annotated

import typer


def prune(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="How long ago runs ended: 30d, 12h, 2w, 90m.")
    ] = "30d",
    trigger: Annotated[
        str | None, typer.Option("--trigger", help="Only runs of these triggers: sensor,backfill,cli,launchpad.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be deleted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Delete old runs from Dagster (rows, events, outputs, logs) and the ledger, and settled events of hooks.

    Content stays, and so do the last run of every issue and merge request, whatever runs or waits, and dead
    letters. It can be stopped or killed at any moment, and called again. Exit code 0: done; 1: not all could be
    done.
    """
    from surgical_pipeline.cli.actions.prune import print_report, run_prune
    from surgical_pipeline.cli.terminal import print_json

    report = run_prune(older_than, trigger=trigger, dry_run=dry_run)
    if as_json:
        print_json(report)
    else:
        print_report(report)
