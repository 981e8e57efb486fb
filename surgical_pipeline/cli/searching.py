"""A search from a terminal: embed the question, look in the ledger."""

from collections.abc import Sequence

from surgical_pipeline.cli.environment import EXIT_FAILED, fail, ledger_errors, open_ledger, usage_errors
from surgical_pipeline.defs.gateways import open_embedder
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.ledger.embeddings import SearchHit, search_vectors
from surgical_pipeline.settings import Settings


def find(
    text: str,
    *,
    settings: Settings,
    project: str | None = None,
    kind: str | None = None,
    limit: int = 10,
    include_confidential: bool = False,
) -> Sequence[SearchHit]:
    """Documents nearest in meaning to ``text``, best first.

    Raises:
        typer.Exit: a setting is wrong, the ledger cannot be read or the embedder gives no vector.
    """
    ledger = open_ledger(settings)
    try:
        with usage_errors():
            embedder = open_embedder(settings)
        vector = embedder.embed([text])[0]
    except EmbedderError as error:
        fail(str(error), code=EXIT_FAILED)
    with ledger_errors(), ledger.read("search") as tx:
        return search_vectors(
            tx,
            model=embedder.name,
            query=vector,
            limit=limit,
            project_path=project,
            kind=kind,
            include_confidential=include_confidential,
        )
