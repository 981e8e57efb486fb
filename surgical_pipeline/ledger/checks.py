"""What the asset checks ask about a run."""

from surgical_pipeline.ledger.transaction import Transaction


def rows_outside_scope(tx: Transaction, run_id: str) -> dict[str, int]:
    """How many rows of each content table carry the run's stamp and belong to no entity it was asked for.

    Only tables that have such rows are named: empty is what it should be.
    """
    return dict(tx.execute("count_rows_outside_scope", run_id=run_id))


def documents_without_current_embedding(tx: Transaction, run_id: str, model: str) -> list[str]:
    """Live documents that the run regenerated and lack a vector of ``model`` for their present text, by id."""
    return tx.column("list_documents_without_current_embedding", run_id=run_id, model=model)


def orphan_vectors(tx: Transaction) -> dict[str, int]:
    """How many vectors each document has that is missing or deleted, by its id: empty is what it should be."""
    return dict(tx.execute("list_orphan_vectors"))


def duplicate_documents(tx: Transaction) -> list[str]:
    """Live documents that are not the only one of their kind for their entity or discussion, by id."""
    return tx.column("list_duplicate_documents")
