"""`surgical-pipeline doctor`: is everything there that a sync needs? Each line says what to do."""

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Check GitLab, token, clock, ledger and embedder. Exit code 0: a sync can run; 1: something is in its way."""
    from rich.markup import escape

    from surgical_pipeline.cli.actions.doctor import check_up
    from surgical_pipeline.cli.output import out, print_json
    from surgical_pipeline.settings import Settings

    findings = check_up(Settings.from_environment())
    if as_json:
        print_json([finding.model_dump() for finding in findings])
    else:
        for finding in findings:
            mark = "[green]ok[/]  " if finding.ok else "[red]FAIL[/]"
            out().print(f"{mark} {finding.check:<10} {escape(finding.found)}")
            if finding.what_to_do:
                out().print(f"     {'':<10} {escape(finding.what_to_do)}", style="yellow")
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)
