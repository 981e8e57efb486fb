"""`surgical-pipeline search TEXT`: find documents by meaning."""

from dataclasses import asdict
from typing import Annotated

import typer


def search(
    text: Annotated[str, typer.Argument(help="What to look for, in your own words.")],
    project: Annotated[str | None, typer.Option(help="Only this project, such as group/project.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only issue, merge_request or discussion.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many hits.")] = 10,
    include_confidential: Annotated[
        bool, typer.Option("--include-confidential", help="Confidential entities and internal notes, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Documents nearest in meaning to TEXT, best first."""
    from surgical_pipeline.cli.environment import EXIT_USAGE, fail
    from surgical_pipeline.cli.output import hits_table, out, print_json
    from surgical_pipeline.cli.searching import find
    from surgical_pipeline.domain.documents import DISCUSSION_KIND
    from surgical_pipeline.domain.scope import EntityType
    from surgical_pipeline.settings import Settings

    kinds = (*EntityType, DISCUSSION_KIND)
    if kind is not None and kind not in kinds:
        fail(f"unknown kind {kind!r}: choose of {', '.join(kinds)}", code=EXIT_USAGE)
    hits = find(
        text,
        settings=Settings.from_environment(),
        project=project,
        kind=kind,
        limit=limit,
        include_confidential=include_confidential,
    )
    if as_json:
        print_json([asdict(hit) for hit in hits])
    else:
        out().print(hits_table(hits) if hits else "Nothing found.")
