from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from surgical_pipeline.ledger.duckdb.checkpoints import CheckpointPolicy
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.stage_run import StageRun
from surgical_pipeline_tests.ledger_dump import Row, query
from surgical_pipeline_tests.postgres_server import PostgresServer

Start = Callable[..., StageRun]
Rows = Callable[[str], list[Row]]


@pytest.fixture
def ledger(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Ledger:
    """A ledger to which nothing was written. No checkpoint is due in a file, because tests count windows."""
    if backend == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.ledger(request.getfixturevalue("ledger_database"), lock_timeout_seconds=20)
    made = DuckDBLedger(tmp_path / "ledger.duckdb", lock_timeout_seconds=20)
    made._engine.checkpoints = CheckpointPolicy(price_ms=1e9)
    return made


@pytest.fixture
def start(sandbox: RunningSandbox, ledger: Ledger, tmp_path: Path) -> Start:
    """Start a run over a scope text, on the one ledger of this test."""
    numbers = count(1)

    def started(scope: str, **options: Any) -> StageRun:
        values: dict[str, Any] = {"url": sandbox.url, "ledger": ledger, "folder": tmp_path}
        return StageRun(scope, **{**values, "run_id": f"run-{next(numbers)}", **options})

    return started


@pytest.fixture
def rows(ledger: Ledger) -> Rows:
    """Ask the ledger in SQL, as somebody outside this project would."""
    return partial(query, ledger)
