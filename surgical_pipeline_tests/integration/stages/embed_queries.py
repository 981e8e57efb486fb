"""What the tests of embed ask the ledger."""

from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.ledger_dump import query

LONG_THREAD = 51
"""An issue with more discussions than one call of the embedder takes."""


def embedded_ids(ledger: DuckDBLedger) -> set[object]:
    """Documents that have a vector."""
    return {row[0] for row in query(ledger.path, "SELECT DISTINCT document_id FROM embeddings")}
