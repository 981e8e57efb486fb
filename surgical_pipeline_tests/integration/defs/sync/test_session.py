"""How the real job ends in the ledger where a stage does not end well, without any process but this one."""

import asyncio
import os
import signal

import pytest

from surgical_pipeline.defs.sync import asset
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline_tests.conftest import Sync


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
