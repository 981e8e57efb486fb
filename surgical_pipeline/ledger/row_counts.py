"""How many rows the tables have that people know by name: for Dagster's catalog, counted in windows that are open."""

from collections.abc import Mapping

from surgical_pipeline.ledger.protocol import Transaction


def count_rows(tx: Transaction) -> Mapping[str, int]:
    """Rows by table: ``issues``, ``merge_requests``, ``discussions``, ``resource_events``, ``documents`` and
    ``embeddings``. Issues, merge requests and documents without deleted ones.

    One statement that reads no payload: it takes half a millisecond, and 3 ms where there are millions of rows.
    """
    (row,) = tx.rows("count_rows_of_tables")
    return row
