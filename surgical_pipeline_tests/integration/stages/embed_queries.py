"""What the tests of embed ask the ledger."""

LONG_THREAD = 51
"""An issue with more discussions than one call of the embedder takes."""
VERSIONS = "SELECT document_id, content_hash FROM documents ORDER BY iid"
EMBEDDED = "SELECT DISTINCT document_id FROM embeddings ORDER BY 1"


def ids(rows: list[tuple[object, ...]]) -> set[object]:
    return {row[0] for row in rows}
