"""Ctrl+C before a run has begun, to the command that makes it and was to execute it."""

from typing import Any, NoReturn

import dagster as dg
import pytest

from surgical_pipeline.defs.launch import launched, reconcile_now, run_config
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.runs import RunSummary, list_runs
from surgical_pipeline_tests.conftest import Sync

SCOPE = Scope.parse("acme/rocket#12!34")


WHEN = pytest.mark.parametrize("when", ["while it is made", "before it begins"])


def called_off(ledger: Ledger, when: str) -> str:
    """The run that somebody had no time for."""
    create = dg.DagsterInstance.create_run_for_job

    def made(*arguments: Any, **named: Any) -> NoReturn:
        create(*arguments, **named)
        raise KeyboardInterrupt

    def looking(_mirror: Mirror) -> NoReturn:
        raise KeyboardInterrupt

    config = run_config(SCOPE, budgets=Budgets(), dependents=CORE_DEPENDENTS, log_level="CRITICAL")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if when == "while it is made":
            patch.setattr(dg.DagsterInstance, "create_run_for_job", made)
        else:
            patch.setattr(Mirror, "bring_back", looking)
        with launched(config, ledger=ledger) as run:
            run.execute()
    with dg.DagsterInstance.get() as instance:
        [found] = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.CANCELED]))
        assert not instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED]))
    return found.run_id


def row_of(ledger: Ledger, run_id: str) -> RunSummary:
    with ledger.read() as tx:
        [row] = [one for one in list_runs(tx, limit=10) if one.run_id == run_id]
    return row


@WHEN
@pytest.mark.both_ledgers
def test_a_run_that_never_began_is_cancelled_on_both_sides(sync: Sync, ledger: Ledger, when: str) -> None:
    sync("acme/rocket#12")
    row = row_of(ledger, called_off(ledger, when))
    assert (row.status, row.phase, row.scope) == ("cancelled", "cancelled", str(SCOPE))
    assert reconcile_now(ledger) == []


@WHEN
def test_without_a_ledger_none_is_made_for_it_and_the_mirror_brings_it_over_later(
    sync: Sync, ledger: Ledger, when: str
) -> None:
    run_id = called_off(ledger, when)
    assert not ledger.exists
    sync("acme/rocket#12")
    reconcile_now(ledger)
    assert row_of(ledger, run_id).status == "cancelled"
