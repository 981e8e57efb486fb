"""`surgical-pipeline export TABLE… --to F`: what was synced, as a file for another program."""

from typing import Annotated

import typer


def export(  # noqa: PLR0913, PLR0917  an argument for each option
    tables: Annotated[list[str], typer.Argument(metavar="TABLE…", help="Such as issues, notes, label_spans.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="F",
            help="A file that ends in .parquet, .csv, .xlsx or .json; {table} in it stands for the table's name. "
            "- is stdout.",
        ),
    ],
    form: Annotated[
        str | None, typer.Option("--format", help="With --to -: csv or json.", metavar="FORMAT")
    ] = None,
    project: Annotated[str | None, typer.Option(help="Only this project, such as group/project.")] = None,
    state: Annotated[str | None, typer.Option(help="Only rows in this state, such as opened.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Only rows with this label; repeat it for one more.")
    ] = None,
    updated_after: Annotated[
        str | None, typer.Option(help="Only what was updated then or later: a day or ISO 8601 moment, in UTC.")
    ] = None,
    include_confidential: Annotated[
        bool, typer.Option("--include-confidential", help="Confidential issues and internal notes, too.")
    ] = False,
    as_written: Annotated[
        bool,
        typer.Option("--as-written", help="CSV for programs: no apostrophe before texts that look like formulas."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Write tables of the published copy, or of the ledger if nothing is published. docs/data.md tells them."""
    from surgical_pipeline.cli.actions import export as exporting

    request = exporting.checked(
        tables,
        to,
        form=form,
        filters={"project": project, "state": state, "labels": label or None, "updated_after": updated_after},
        include_confidential=include_confidential,
        as_written=as_written,
        force=force,
    )
    done = exporting.run(request)
    exporting.report(done, as_json=as_json, to_stdout=request.to_stdout)
