"""Counting rows reads indexes alone, which hold no text."""

import pytest

from surgical_pipeline.ledger.postgres.statements import bare
from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.ledger.row_counts import count_rows
from surgical_pipeline_tests.integration.ledger.examples import read_sql, run_sql


@pytest.mark.parametrize(
    "query", ["count_live_entities", "count_rows_of_dependents", "count_live_documents", "count_vectors"]
)
def test_each_count_can_be_answered_from_an_index_alone(ledger: PostgresLedger, query: str) -> None:
    with ledger.read() as tx:
        run_sql(tx, "SET LOCAL enable_seqscan = off")
        run_sql(tx, "SET LOCAL enable_bitmapscan = off")
        plan = "\n".join(str(line) for (line,) in read_sql(tx, f"EXPLAIN {bare(query)}"))
        assert plan.count("Index Only Scan") == plan.count("Scan") > 0, plan
        assert set(count_rows(tx).values()) == {0}
