import pytest

from surgical_pipeline_tests.integration.ledger.conftest import (
    clock,
    empty_file,
    ledger,
    new_ledger,
    used_database,
)

__all__ = ["clock", "empty_file", "ledger", "new_ledger", "used_database"]


@pytest.fixture(params=["duckdb", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    """Views are the same on both databases; tests of a file alone say so."""
    return str(request.param)
