"""Ctrl+C between a run's creation and its execution, by the command that was to execute it."""

import dagster as dg
import pytest

from surgical_pipeline.defs.launch import launched, reconcile_now, run_config
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import RunSummary, list_runs
from surgical_pipeline_tests.conftest import Sync

SCOPE = Scope.parse("acme/rocket#12!34")


def called_off(ledger: Ledger) -> str:
    """The run that somebody had no time for."""
    config = run_config(SCOPE, budgets=Budgets(), dependents=CORE_DEPENDENTS, log_level="CRITICAL")
    with pytest.raises(KeyboardInterrupt), launched(config, ledger=ledger) as run:
        raise KeyboardInterrupt
    with dg.DagsterInstance.get() as instance:
        found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.CANCELED
    return run.run_id


def row_of(ledger: Ledger, run_id: str) -> RunSummary:
    with ledger.read() as tx:
        [row] = [one for one in list_runs(tx, limit=10) if one.run_id == run_id]
    return row


@pytest.mark.both_ledgers
def test_a_run_that_never_began_is_cancelled_on_both_sides(sync: Sync, ledger: Ledger) -> None:
    sync("acme/rocket#12")
    row = row_of(ledger, called_off(ledger))
    assert (row.status, row.phase, row.scope) == ("cancelled", "cancelled", str(SCOPE))
    assert reconcile_now(ledger) == []


def test_without_a_ledger_none_is_made_for_it(sync: Sync, ledger: Ledger) -> None:
    """The mirror brings it over once there is one."""
    run_id = called_off(ledger)
    assert not ledger.exists
    sync("acme/rocket#12")
    reconcile_now(ledger)
    assert row_of(ledger, run_id).status == "cancelled"


@pytest.mark.usefixtures("sync")
def test_a_run_that_is_over_stays_what_it_was(ledger: Ledger) -> None:
    config = run_config(SCOPE, budgets=Budgets(), dependents=CORE_DEPENDENTS, log_level="CRITICAL")
    with pytest.raises(KeyboardInterrupt), launched(config, ledger=ledger) as run:
        run.execute()
        raise KeyboardInterrupt
    assert row_of(ledger, run.run_id).status == "succeeded"
    assert reconcile_now(ledger) == []
