"""How the real job ends in the ledger where a stage does not end well, without any process but this one."""

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import NoReturn

import dagster as dg
import pytest

from surgical_pipeline.defs.gateways import RunGateways
from surgical_pipeline.defs.sync import asset
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger.errors import LockTimeoutError
from surgical_pipeline.ledger.joinable import JoinableRecorder
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.signals import LONG_QUERY


def test_a_defect_in_a_stage_fails_the_run_and_its_entities_in_that_stage(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def defective(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(asset, "run_ingest", defective)
    result = sync("acme/rocket#12!34")
    assert (result.completion_status, result.phase) == ("failed", "ingest")
    assert result.error is not None
    assert (result.error.code, result.error.message) == (
        FailureCode.INTERNAL_ERROR,
        "ZeroDivisionError: a defect",
    )
    assert [one.code for one in result.entity_failures] == [FailureCode.INTERNAL_ERROR] * 2


def test_an_interrupt_in_a_stage_cancels_the_run_and_its_entities(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)

    monkeypatch.setattr(asset, "run_ingest", interrupted)
    result = sync("acme/rocket#12!34")
    assert (result.completion_status, result.phase) == ("cancelled", "cancelled")
    assert [one.code for one in result.entity_failures] == [FailureCode.CANCELLED] * 2


@pytest.mark.both_ledgers
def test_an_interrupt_that_comes_while_a_query_runs_cancels_the_run(
    sync: Sync, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the main thread, where DuckDB drops the exception that Dagster's signal handler raises."""
    slowly = "SELECT pg_sleep(5)" if backend == "postgres" else LONG_QUERY

    def interrupted(gateways: RunGateways, _work: object) -> None:
        keys = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        with gateways.ledger.read() as tx:
            keys.start()
            tx.connection.execute(slowly)  # type: ignore[attr-defined]  # both have it

    monkeypatch.setattr(RunGateways, "run_async", interrupted)
    result = sync("acme/rocket#12!34")
    assert (result.completion_status, result.phase) == ("cancelled", "cancelled")
    assert [one.code for one in result.entity_failures] == [FailureCode.CANCELLED] * 2


def test_a_cancelled_run_is_cancelled_for_dagster_too_if_the_ledger_cannot_be_told(
    sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has the ledger for longer than the limit. The run asks once, and the mirror writes the ending."""
    asked = []

    async def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)

    def held(recorder: JoinableRecorder) -> NoReturn:
        asked.append(recorder.run_id)
        raise LockTimeoutError(Path("ledger.duckdb"), 60)

    monkeypatch.setattr(asset, "run_ingest", interrupted)
    monkeypatch.setattr(JoinableRecorder, "finish_cancelled", held)
    result = sync("acme/rocket#12!34")
    assert asked == [result.run_id]
    assert (result.completion_status, result.phase) == ("cancelled", "cancelled")
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.CANCELED
