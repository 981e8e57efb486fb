"""The index of words that searches read, written with the documents. A sync needs nothing else of searches."""

from collections.abc import Sequence

from surgical_pipeline.ledger.protocol import Transaction


def index_documents(tx: Transaction, document_ids: Sequence[str]) -> None:
    """Index the words of these documents' present title and text for searches.

    Call it in the window that writes them, after the write.
    """
    for query_name in ("add_to_vocabulary", "index_words"):
        tx.execute(query_name, document_ids=list(document_ids))
