"""A ledger knows itself: by its name and by runs that are numbered, so that a cursor can tell an older copy."""

import shutil
from pathlib import Path

import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import mark_of, went_back
from surgical_pipeline_tests.integration.ledger.examples import HandClock, at, start


@pytest.fixture
def backend() -> str:
    """Files are put back and replaced."""
    return "duckdb"


def mark(ledger: DuckDBLedger) -> str:
    with ledger.read() as tx:
        return mark_of(tx)


def is_older(ledger: DuckDBLedger, seen: str) -> bool:
    with ledger.read() as tx:
        return went_back(tx, seen)


@pytest.fixture
def backup(ledger: DuckDBLedger, tmp_path: Path) -> DuckDBLedger:
    """A copy of the ledger from before its second run."""
    start(ledger, "run-1")
    start(ledger, "run-2").finish_succeeded()
    copy = DuckDBLedger(tmp_path / "copy.duckdb")
    shutil.copyfile(ledger.path, copy.path)
    if (log := Path(f"{ledger.path}.wal")).exists():
        shutil.copyfile(log, f"{copy.path}.wal")
    start(ledger, "run-3").finish_succeeded()
    return copy


def test_a_ledger_that_goes_on_is_the_same(ledger: DuckDBLedger) -> None:
    seen = [mark(ledger)]
    for number in (1, 2):
        start(ledger, f"run-{number}").finish_succeeded()
        seen.append(mark(ledger))
    assert [is_older(ledger, one) for one in seen] == [False, False, False]
    assert len(set(seen)) == 3
    assert not any(" " in one for one in seen)  # cursors have blanks between their parts


def test_an_older_copy_is_told_from_the_original(ledger: DuckDBLedger, backup: DuckDBLedger) -> None:
    assert is_older(backup, mark(ledger))
    assert not is_older(ledger, mark(backup))


def test_an_older_copy_is_told_when_it_has_as_many_runs_again(ledger: DuckDBLedger, backup: DuckDBLedger) -> None:
    start(backup, "another").finish_succeeded()
    start(backup, "yet another").finish_succeeded()
    assert is_older(backup, mark(ledger))


def test_an_older_copy_is_told_though_the_missing_run_got_its_row_again(
    ledger: DuckDBLedger, backup: DuckDBLedger
) -> None:
    start(backup, "run-3", clock=HandClock(at(5))).finish_failed(
        Failure(code=FailureCode.LEDGER_ERROR, message="what it wrote is not in this ledger", stage="queued")
    )
    assert is_older(backup, mark(ledger))


def test_an_empty_ledger_in_its_place_is_told(ledger: DuckDBLedger, tmp_path: Path) -> None:
    seen = mark(ledger)
    other = DuckDBLedger(tmp_path / "other.duckdb")
    with other.write("make"):
        pass
    assert is_older(other, seen)
