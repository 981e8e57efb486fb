"""`surgical-pipeline ledger backup|check|compact|copy|rebase`: care of the ledger as a whole."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Care of the ledger's file.", no_args_is_help=True)
_JSON = typer.Option("--json", help="Print one JSON document on stdout.")


@app.command()
def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="The file to make.")],
    force: Annotated[bool, typer.Option("--force", help="Replace DEST if it exists.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Copy the ledger to one file, as it is at one moment, while others work."""
    from surgical_pipeline.cli.environment import existing_ledger_file, ledger_errors
    from surgical_pipeline.cli.terminal import print_json, say
    from surgical_pipeline.ledger.duckdb import maintenance
    from surgical_pipeline.settings import Settings

    ledger = existing_ledger_file(Settings.from_environment())
    with ledger_errors():
        made = maintenance.backup(ledger, destination, force=force)
    if as_json:
        print_json(made)
    else:
        say(f"{made.path}: {made.size_bytes:,} bytes in {made.seconds:.1f} s")


@app.command()
def check(as_json: Annotated[bool, _JSON] = False) -> None:
    """Read the whole ledger and look for broken rules. Exit code 0: all is well; 1: something is wrong."""
    from surgical_pipeline.cli.environment import EXIT_FAILED, existing_ledger, ledger_errors
    from surgical_pipeline.cli.output import print_check
    from surgical_pipeline.cli.terminal import print_json, waiting
    from surgical_pipeline.ledger import invariants
    from surgical_pipeline.settings import Settings

    ledger = existing_ledger(Settings.from_environment())
    with ledger_errors(), waiting("opening the ledger") as now:
        report = invariants.check_in_steps(
            ledger, lambda number, of, meaning: now(f"checking {number} of {of}: {meaning}")
        )
    if as_json:
        print_json({"path": ledger.location, "ok": report.ok, **report.model_dump()})
    else:
        print_check(report)
    raise typer.Exit(0 if report.ok else EXIT_FAILED)


@app.command()
def compact(as_json: Annotated[bool, _JSON] = False) -> None:
    """Rewrite the ledger without the space of deleted rows, all indexes rebuilt. Others wait meanwhile."""
    from surgical_pipeline.cli.environment import existing_ledger_file, ledger_errors
    from surgical_pipeline.cli.terminal import print_json, say
    from surgical_pipeline.ledger.duckdb import maintenance
    from surgical_pipeline.settings import Settings

    ledger = existing_ledger_file(Settings.from_environment())
    with ledger_errors():
        done = maintenance.compact(ledger)
    if as_json:
        print_json(done)
    else:
        say(f"{done.path}: {done.bytes_before:,} bytes before, {done.bytes_after:,} after")


@app.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A file, or postgresql://user@host/database.")],
    destination: Annotated[str, typer.Argument(metavar="TO", help="A new ledger; or a copy that was begun.")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Copy a ledger to another database, DuckDB or PostgreSQL, and compare all tables; FROM stays as it is."""
    from surgical_pipeline.cli.actions.ledger_copy import copy_between
    from surgical_pipeline.cli.terminal import print_json, say

    done = copy_between(source, destination)
    if as_json:
        print_json(done)
    else:
        rows = sum(table.rows for table in done.tables.values())
        written = sum(table.written for table in done.tables.values())
        say(f"{done.destination}: {rows:,} rows in {len(done.tables)} tables as in {done.source}, {written:,} new")


@app.command()
def rebase(
    gitlab: Annotated[str, typer.Option("--gitlab", metavar="URL", help="Where GitLab is now, with its prefix.")],
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Make the ledger belong to the GitLab at URL, after GitLab moved to another host. Nothing else changes."""
    from surgical_pipeline.cli.environment import existing_ledger, ledger_errors, usage_errors
    from surgical_pipeline.cli.terminal import print_json, say
    from surgical_pipeline.domain.web_address import checked_gitlab
    from surgical_pipeline.ledger import belonging
    from surgical_pipeline.settings import Settings

    ledger = existing_ledger(Settings.from_environment())
    with usage_errors():
        after = checked_gitlab(gitlab)
    with ledger_errors(), ledger.write("rebase") as tx:
        before = belonging.rebase(tx, after)
    if as_json:
        print_json({"path": ledger.location, "before": before, "after": after})
    else:
        say(f"{ledger.location}: belonged to {before or 'no GitLab yet'}, belongs to {after} now")
        say("Web addresses in it follow as their issues and merge requests are synced again.")
