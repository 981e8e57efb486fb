import pytest


@pytest.fixture
def backend() -> str:
    """These tests are about PostgreSQL."""
    return "postgres"
