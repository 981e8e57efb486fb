"""`surgical-pipeline`: the commands, each in its own module, imported when it is called."""

from typing import Annotated

import typer

from surgical_pipeline.cli.commands import (
    backfill,
    demo,
    doctor,
    embed_backlog,
    events,
    export,
    ledger,
    metrics,
    prune,
    publish,
    report,
    retry,
    runs,
    sandbox,
    search,
    sync,
    webhook,
)
from surgical_pipeline.cli.program import Program

app = Program(
    name="surgical-pipeline",
    help="Bring exactly the GitLab issues and merge requests you name up to date in DuckDB.",
    epilog="Exit codes: 0 succeeded, 3 succeeded with warnings, 1 failed, 130 cancelled, 2 wrong usage.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("sync")(sync.sync)
app.command("retry")(retry.retry)
app.command("search")(search.search)
app.command("export")(export.export)
app.command("publish")(publish.publish)
app.command("report")(report.report)
app.command("embed-backlog")(embed_backlog.embed_backlog)
app.command("prune")(prune.prune)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.add_typer(backfill.app, name="backfill")
app.add_typer(runs.app, name="runs")
app.add_typer(events.app, name="events")
app.add_typer(ledger.app, name="ledger")
app.add_typer(webhook.app, name="webhook")
app.add_typer(metrics.app, name="metrics")
app.add_typer(sandbox.app, name="sandbox")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from surgical_pipeline.cli.terminal import say

        say(version("surgical-pipeline"))
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Load .env before any command, as Dagster does."""
    del version
    from surgical_pipeline.cli.environment import load_dotenv

    load_dotenv()
