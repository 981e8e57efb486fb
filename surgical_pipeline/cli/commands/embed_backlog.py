"""`surgical-pipeline embed-backlog`: embed every document that lacks a vector of the configured model."""

from typing import Annotated

import typer


def embed_backlog(
    project: Annotated[str | None, typer.Option(help="Only this project, such as group/project.")] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Then drop vectors of other models where this model's are complete.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Dagster's log on stderr.")] = False,
) -> None:
    """Embed every document whose vector is missing or belongs to an older text or another model.

    Use it after a change of the embedder or its model. If stopped, it continues when called again. Exit code 0:
    all have theirs; 3: the model refused some texts; 1: no embedder or no ledger; 130: stopped.
    """
    from surgical_pipeline.cli.actions.embed_backlog import print_backlog, run_backlog
    from surgical_pipeline.cli.progress import display_for
    from surgical_pipeline.cli.terminal import print_json

    display = display_for(as_json=as_json, verbose=verbose)
    report = run_backlog(project, prune=prune, verbose=verbose, display=display)
    if as_json:
        print_json(report)
    else:
        print_backlog(report)
    raise typer.Exit(report.exit_code)
