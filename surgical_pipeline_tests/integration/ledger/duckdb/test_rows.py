from pathlib import Path

import duckdb
import pytest

from surgical_pipeline.ledger.duckdb.rows import DuckDBRows
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger


def test_a_row_that_is_refused_is_told_by_its_own_reason(tmp_path: Path) -> None:
    """Not as the aborted transaction, which is all that the next statement would say."""
    rows = DuckDBRows(DuckDBLedger(tmp_path / "ledger.duckdb"))
    with pytest.raises(duckdb.ConstraintException, match="NOT NULL"), rows.writing() as (_, tables):
        tables.insert("documents", ["document_id"], [("doc",)])
