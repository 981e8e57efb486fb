"""`surgical-pipeline report [RUN_ID]`: a page to look at, about one run or the last days."""

from typing import Annotated

import typer


def report(
    run_id: Annotated[
        str | None, typer.Argument(help="One run, by its id or the beginning of it; else all runs of a time.")
    ] = None,
    *,
    last: Annotated[
        str | None, typer.Option(metavar="TIME", help="All runs of the last 30m, 24h, 7d or 4w; by default 7d.")
    ] = None,
    html: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Where to write the page, - for stdout; by default surgical-report.html, or "
            "surgical-report-RUN.html, in this folder.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the values as one JSON document; a page only with --html.")
    ] = False,
) -> None:
    """Write one HTML page about the syncs of the last days, or about one run.

    What was synced and what was not, failures with advice, stages and lock windows, throughput, requests, lags,
    dead letters and the size of the ledger. The page needs no network and runs no script.
    """
    from surgical_pipeline.cli.actions.report import print_made, read_report, write_report
    from surgical_pipeline.cli.environment import EXIT_USAGE, fail
    from surgical_pipeline.cli.terminal import print_json

    if run_id is not None and last is not None:
        fail("name a run or a time with --last, not both", code=EXIT_USAGE)
    if as_json and html == "-":
        fail("--json and --html - both want stdout: name a file for the page", code=EXIT_USAGE)
    made = read_report(run_id, last=last)
    written = None if as_json and html is None else write_report(made, html)
    if as_json:
        print_json(made)
    elif written is not None:
        print_made(made, written)
