"""`surgical-pipeline search TEXT`: find documents by words and by meaning."""

from typing import Annotated

import typer


def search(  # noqa: PLR0913, PLR0917  an argument for each option
    text: Annotated[str, typer.Argument(help="What to look for: your own words, an identifier, #12, an error.")],
    project: Annotated[str | None, typer.Option(help="Only this project, such as group/project.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only issue, merge_request or discussion.")] = None,
    state: Annotated[
        str | None,
        typer.Option(help="Only opened, closed, merged or locked entities; resolved or unresolved discussions."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Only entities with this label; repeat it for one more.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only what was updated then or later: a day or ISO 8601 moment, in UTC.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many hits.")] = 10,
    include_confidential: Annotated[
        bool, typer.Option("--include-confidential", help="Confidential entities and internal notes, too.")
    ] = False,
    vector_only: Annotated[
        bool, typer.Option("--vector-only", help="Print the text's vector as JSON and search nothing: for SQL.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Find documents that TEXT names, that hold its words or are near in meaning, best first."""
    from surgical_pipeline.cli.actions import search as searching
    from surgical_pipeline.cli.output import print_hits
    from surgical_pipeline.cli.terminal import print_json
    from surgical_pipeline.settings import Settings

    settings = Settings.from_environment()
    filters = searching.checked_filters(
        text,
        project_path=project,
        kind=kind,
        state=state,
        labels=label or (),
        since=since,
        include_confidential=include_confidential,
    )
    if vector_only:
        print_json(searching.question_vector(text, settings))
        return
    hits = searching.find(text, settings=settings, filters=filters, limit=limit)
    if as_json:
        print_json([searching.as_document(hit) for hit in hits])
    else:
        print_hits(hits)
