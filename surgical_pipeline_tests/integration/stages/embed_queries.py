"""What the tests of embed ask the ledger."""

from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.ledger_dump import query

LONG_THREAD = 51
"""An issue with more discussions than one call of the embedder takes."""


def embedded_ids(ledger: Ledger) -> set[object]:
    """Documents that have a vector."""
    return {row[0] for row in query(ledger, "SELECT DISTINCT document_id FROM embeddings")}
