from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from surgical_pipeline.ledger.duckdb.checkpoints import CheckpointPolicy
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.stage_run import StageRun
from surgical_pipeline_tests.ledger_dump import Row, query

Start = Callable[..., StageRun]
Rows = Callable[[str], list[Row]]


@pytest.fixture
def ledger(tmp_path: Path) -> DuckDBLedger:
    """A ledger whose file does not exist yet. No checkpoint is due in it, because tests count windows."""
    made = DuckDBLedger(tmp_path / "ledger.duckdb", lock_timeout_seconds=20)
    made._engine.checkpoints = CheckpointPolicy(price_ms=1e9)
    return made


@pytest.fixture
def start(sandbox: RunningSandbox, ledger: DuckDBLedger) -> Start:
    """Start a run over a scope text, on the one ledger of this test."""
    numbers = count(1)

    def started(scope: str, **options: Any) -> StageRun:
        values: dict[str, Any] = {"url": sandbox.url, "ledger": ledger, "run_id": f"run-{next(numbers)}"} | options
        return StageRun(scope, **values)

    return started


@pytest.fixture
def rows(ledger: DuckDBLedger) -> Rows:
    """Ask the ledger in SQL, as somebody outside this project would."""
    return partial(query, ledger.path)
