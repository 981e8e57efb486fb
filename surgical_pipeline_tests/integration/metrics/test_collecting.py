"""A look at a ledger that is held, gone or slow: a scrape gets what can be had in time, and is told the rest."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.metrics import catalog
from surgical_pipeline.metrics.catalog import Sample
from surgical_pipeline.metrics.collecting import LedgerMetrics
from surgical_pipeline.metrics.reading import Part, parts
from surgical_pipeline.settings import SettingsError
from surgical_pipeline_tests.integration.ledger.processes import beside


@pytest.fixture
def backend() -> str:
    """A lock over all is the file's."""
    return "duckdb"


def up(samples: Sequence[Sample]) -> tuple[float, tuple[str, ...] | None]:
    """Whether the ledger is said to be up, and the reason if it is not."""
    (verdict,) = (one.value for one in samples if one.metric is catalog.LEDGER_UP)
    reasons = [one.labels for one in samples if one.metric is catalog.LEDGER_TROUBLE]
    return verdict, reasons[0] if reasons else None


def names(samples: Sequence[Sample]) -> set[str]:
    return {one.metric.name for one in samples}


def metrics(path: Path, *, seconds: float = 0.5, of: Sequence[Part] | None = None) -> LedgerMetrics:
    def opened() -> Ledger:
        return DuckDBLedger(path, lock_timeout_seconds=seconds)

    return LedgerMetrics(opened, parts((), None) if of is None else of, seconds=seconds)


def test_a_free_ledger_is_up(ledger: DuckDBLedger) -> None:
    samples = asyncio.run(metrics(ledger.path, seconds=20).samples())
    assert up(samples) == (1, None)
    assert {"surgical_runs", "surgical_documents"} <= names(samples)


def test_no_ledger_yet_is_down_with_a_code(tmp_path: Path) -> None:
    looked = metrics(tmp_path / "none.duckdb", seconds=20)
    assert up(asyncio.run(looked.samples())) == (0, ("LEDGER_ERROR",))
    assert asyncio.run(looked.trouble()) is FailureCode.LEDGER_ERROR


@pytest.mark.parametrize("holder", ["hold_write", "hold_lock"])
def test_a_held_ledger_costs_a_scrape_no_more_than_its_limit(ledger: DuckDBLedger, holder: str) -> None:
    with beside(holder, ledger.path):
        began = time.monotonic()
        samples = asyncio.run(metrics(ledger.path, seconds=0.5).samples())
        taken = time.monotonic() - began
    verdict, reason = up(samples)
    assert verdict == 0
    assert reason in {("LOCK_TIMEOUT",), ("TIMEOUT",)}
    assert names(samples) == {"surgical_ledger_up", "surgical_ledger_trouble", "surgical_ledger_read_seconds"}
    assert taken < 5


def test_a_ledger_that_is_free_again_is_up_again(ledger: DuckDBLedger) -> None:
    async def held_then_free() -> list[tuple[float, tuple[str, ...] | None]]:
        looked = metrics(ledger.path, seconds=0.5)
        with beside("hold_write", ledger.path):
            first = await looked.samples()
        for _ in range(100):
            if up(last := await looked.samples())[0]:
                break
        return [up(first), up(last)]

    first, last = asyncio.run(held_then_free())
    assert (first[0], last) == (0, (1, None))


def test_what_was_read_before_the_time_was_up_is_served(ledger: DuckDBLedger) -> None:
    def quick(_tx: Transaction) -> list[Sample]:
        return [catalog.DOCUMENTS.sample(7)]

    def slow(_tx: Transaction) -> list[Sample]:
        time.sleep(1.5)
        return [catalog.RUNS_EVER.sample(1)]

    async def look() -> tuple[list[Sample], float]:
        began = time.monotonic()
        return await metrics(ledger.path, seconds=1, of=[quick, slow]).samples(), time.monotonic() - began

    samples, taken = asyncio.run(look())
    assert up(samples) == (0, ("TIMEOUT",))
    assert catalog.DOCUMENTS.sample(7) in samples
    assert "surgical_runs_total" not in names(samples)
    assert taken < 1.45


def test_scrapes_at_one_time_share_one_look(ledger: DuckDBLedger) -> None:
    looks = []

    def counted(_tx: Transaction) -> list[Sample]:
        looks.append(1)
        return []

    async def scrape() -> list[tuple[float, tuple[str, ...] | None]]:
        looked = metrics(ledger.path, seconds=20, of=[counted])
        return [up(samples) for samples in await asyncio.gather(*(looked.samples() for _ in range(10)))]

    assert asyncio.run(scrape()) == [(1, None)] * 10
    assert looks == [1]


def test_a_defect_is_told_and_ends_nothing(ledger: DuckDBLedger, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_tx: Transaction) -> list[Sample]:
        raise ZeroDivisionError

    assert up(asyncio.run(metrics(ledger.path, seconds=20, of=[broken]).samples())) == (0, ("INTERNAL_ERROR",))
    assert "ZeroDivisionError" in caplog.text


def test_a_missing_folder_is_told_once_and_again_when_it_is_over(
    ledger: DuckDBLedger, caplog: pytest.LogCaptureFixture
) -> None:
    places: list[Ledger] = []

    def opened() -> Ledger:
        if not places:
            raise SettingsError("the ledger's folder /gone does not exist")
        return places[0]

    async def scrape() -> None:
        looked = LedgerMetrics(opened, [], seconds=20)
        await looked.samples()
        await looked.samples()
        places.append(ledger)
        await looked.samples()

    asyncio.run(scrape())
    assert [record.getMessage() for record in caplog.records if "metrics" in record.getMessage()] == [
        "the ledger's metrics are not served: LEDGER_ERROR: the ledger's folder /gone does not exist",
        "the ledger's metrics are served again",
    ]
