from pathlib import Path

import pytest

from surgical_pipeline.ledger.windows import Ledger
from surgical_pipeline_tests.integration.ledger.examples import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: HandClock) -> Ledger:
    """A ledger whose file does not exist yet."""
    return Ledger(tmp_path / "ledger.duckdb", lock_timeout_seconds=20, clock=clock)
