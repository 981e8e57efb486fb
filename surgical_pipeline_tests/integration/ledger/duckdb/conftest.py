import pytest


@pytest.fixture
def backend() -> str:
    """These tests are about the file."""
    return "duckdb"
