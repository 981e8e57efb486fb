"""One ledger, several Dagster instances: only the one that made a run can tell that it was deleted there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.defs.dagster_home import id_of
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import RunSummary, find_run, load_result
from surgical_pipeline_tests.integration.defs.two_sides import make_run


@pytest.fixture
def ledger(tmp_path: Path) -> DuckDBLedger:
    return DuckDBLedger(tmp_path / "ledger.duckdb")


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "theirs").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "theirs")) as instance:
        yield instance


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "ours").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "ours")) as instance:
        yield instance


def row(ledger: DuckDBLedger, run_id: str) -> RunSummary:
    with ledger.read() as tx:
        found = find_run(tx, run_id)
    assert found is not None
    return found


def test_a_queued_run_that_is_deleted_in_dagster_ends_at_the_next_look_as_cancelled(
    ours: dg.DagsterInstance, ledger: DuckDBLedger
) -> None:
    run_id = make_run(ours)
    Mirror(ours, ledger).reconcile()
    assert row(ledger, run_id).status == "queued"
    ours.delete_run(run_id)
    look = Mirror(ours, ledger)
    look.reconcile()
    found = row(ledger, run_id)
    assert (found.status, found.failure_code) == ("cancelled", "CANCELLED")
    assert found.failure_message == "The run was deleted in Dagster before it started."
    assert [(change.what, change.detail) for change in look.changes] == [("cancelled", found.failure_message)]
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    assert result is not None
    assert {one.failure.code for one in result.entity_outcomes if one.failure} == {"CANCELLED"}


def test_another_dagster_concludes_nothing_from_not_knowing_a_run(
    ours: dg.DagsterInstance, theirs: dg.DagsterInstance, ledger: DuckDBLedger
) -> None:
    run_id = make_run(theirs)
    Mirror(theirs, ledger).reconcile()
    look = Mirror(ours, ledger, clock=lambda: datetime.now(UTC) + timedelta(days=3))
    look.reconcile()
    assert (look.changes, row(ledger, run_id).status) == ([], "queued")
    assert row(ledger, run_id).dagster_instance == id_of(theirs) != id_of(ours)


def test_runs_of_an_instance_that_is_gone_end_once_another_takes_its_name(
    ours: dg.DagsterInstance, theirs: dg.DagsterInstance, ledger: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = make_run(theirs)
    Mirror(theirs, ledger).reconcile()
    name = row(ledger, run_id).dagster_instance
    assert name is not None
    monkeypatch.setenv("SURGICAL_DAGSTER_INSTANCE", name)
    Mirror(ours, ledger).reconcile()
    assert row(ledger, run_id).status == "cancelled"
