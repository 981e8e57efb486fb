"""`surgical-pipeline doctor`: is everything there that a sync needs? Each line says what to do."""

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Check GitLab, token, clock, Dagster's storage, ledger and embedder.

    Exit code 0: a sync can run; 1: something prevents it.
    """
    from surgical_pipeline.cli.actions.doctor import check_up
    from surgical_pipeline.cli.output import print_findings
    from surgical_pipeline.cli.terminal import print_json
    from surgical_pipeline.settings import Settings

    findings = check_up(Settings.from_environment())
    if as_json:
        print_json([finding.model_dump() for finding in findings])
    else:
        print_findings(findings)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)
