"""What the embedding backlog asks: documents without vectors of their present text by a model, and old vectors."""

from surgical_pipeline.domain.records import DocumentVersion
from surgical_pipeline.ledger.protocol import Transaction


class UnknownProjectError(LookupError):
    """The ledger has no such project. ``project`` is the requested path or id."""

    def __init__(self, project: str) -> None:
        self.project = project
        super().__init__(f"the ledger has no project {project!r}: give its path, such as group/project, or its id")


def find_project(tx: Transaction, project: str) -> int:
    """The id of the project of that path or id.

    Raises:
        UnknownProjectError: there is none; it was never synced.
    """
    found = tx.column("find_project", project=project)
    if not found:
        raise UnknownProjectError(project)
    return int(found[0])


def count_backlog(tx: Transaction, model: str, project_id: int | None) -> int:
    """How many live documents, of all projects or one, have no vectors of ``model`` for their present text."""
    return int(tx.column("count_backlog", model=model, project_id=project_id)[0])


def load_backlog(
    tx: Transaction, model: str, *, project_id: int | None, after: str, limit: int
) -> list[DocumentVersion]:
    """The first ``limit`` of those, by id, whose id comes after ``after``."""
    rows = tx.execute("load_backlog", model=model, project_id=project_id, after=after, limit=limit)
    return [DocumentVersion(*row) for row in rows]


def prune_other_models(tx: Transaction, model: str, *, project_id: int | None, limit: int) -> int:
    """Drop the vectors of other models of at most ``limit`` documents; returns the number of documents.

    Only of documents that have vectors of ``model`` for their present text: no document loses its only vectors.
    """
    chosen = tx.column("list_prunable_documents", model=model, project_id=project_id, limit=limit)
    if chosen:
        tx.execute("delete_embeddings_of_other_models", model=model, document_ids=chosen)
    return len(chosen)
