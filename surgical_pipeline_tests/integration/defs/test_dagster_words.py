from datetime import UTC, datetime

import dagster as dg

from surgical_pipeline.defs.dagster_words import as_dagster_failure, failure_of
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import find_run, queue_run

BROKEN = Failure(code=FailureCode.LOCK_TIMEOUT, message="others had the ledger", stage="queued")


@dg.op
def breaks() -> None:
    raise as_dagster_failure(BROKEN)


@dg.job
def broken() -> None:
    breaks()


def test_a_failure_comes_back_out_of_dagsters_log_as_it_went_in(ledger: DuckDBLedger) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = broken.execute_in_process(instance=instance, raise_on_error=False).run_id
        with ledger.write("queue") as tx:
            queue_run(
                tx,
                run_id,
                scope="refused: x",
                mode=RunMode.SURGICAL,
                trigger=Trigger.CLI,
                queued_at=datetime.now(UTC),
            )
            run = find_run(tx, run_id)
        assert run is not None
        assert failure_of(instance, run) == BROKEN
