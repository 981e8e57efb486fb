import dagster as dg

from surgical_pipeline.defs.dagster_words import as_dagster_failure, ending_of
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase

BROKEN = Failure(code=FailureCode.LOCK_TIMEOUT, message="others had the ledger", stage=str(Phase.DOCS))


@dg.op
def breaks() -> None:
    raise as_dagster_failure(BROKEN)


@dg.job
def broken() -> None:
    breaks()


def test_a_failure_comes_back_out_of_dagsters_log_as_it_went_in() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = broken.execute_in_process(instance=instance, raise_on_error=False).run_id
        assert ending_of(instance, run_id, phase=Phase.DOCS) == BROKEN
