"""The backfill job: the same stages with the scope taken from the partition key."""

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.ledger_dump import query

pytestmark = pytest.mark.both_ledgers

BOTH: dict[str, object] = {"ops": {"surgical_sync": {"config": {"project": "acme/rocket", "issue_iids": [13]}}}}


def run(key: str, run_config: dict[str, object] | None = None) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("scopes", [key])
        return defs.resolve_job_def("surgical_backfill_job").execute_in_process(
            instance=instance, partition_key=key, run_config=run_config, raise_on_error=False
        )


def the_one_run(ledger: Ledger) -> tuple[object, ...]:
    (row,) = query(ledger, "SELECT scope, mode, status, phase, failure_code, requested FROM sync_runs")
    return row


def test_a_partition_key_is_the_scope_of_its_run(ledger: Ledger) -> None:
    assert run("acme/rocket#12+14!34").success
    row = query(ledger, "SELECT scope, mode, status FROM sync_runs")
    assert row == [("acme/rocket#12+14!34", "backfill", "succeeded")]
    assert query(ledger, "SELECT iid FROM issues ORDER BY iid") == [(12,), (14,)]


@pytest.mark.parametrize(
    "key", ["a...b", "acme/rocket", "acme/rocket#0", "acme/rocket#12\t", "acme/rocket#1-1001"]
)
def test_a_key_that_is_no_scope_of_one_run_fails_in_the_ledger_before_anything_is_asked(
    ledger: Ledger, sandbox: RunningSandbox, key: str
) -> None:
    assert not run(key).success
    assert sandbox.control.requests().count == 0
    assert the_one_run(ledger) == (f"refused: {key}", "backfill", "failed", "queued", "NOT_FOUND", 0)


def test_partition_and_config_scope_together_are_an_error(ledger: Ledger, sandbox: RunningSandbox) -> None:
    result = run("acme/rocket#12", BOTH)
    assert not result.success
    assert "both given" in str(result.all_events)
    assert sandbox.control.requests().count == 0
    assert the_one_run(ledger)[:3] == ("refused: acme/rocket#12", "backfill", "failed")
