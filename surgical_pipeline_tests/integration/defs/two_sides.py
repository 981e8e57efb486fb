"""A Dagster instance and a ledger, whose runs the mirror compares."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.mirror import Change, Mirror
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.outcomes import RunError, SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.clock import Clock, utc_now
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline_tests.ledger_dump import query

SCOPE = Scope.parse("acme/rocket#12!34")
BLOCK = {"project": "acme/rocket", "issue_iids": [12], "mr_iids": [34]}


def gone_process() -> ProcessIdentity:
    """A process of this machine that has ended."""
    code = "from surgical_pipeline.ledger.process import ProcessIdentity as P; print(P.of_this_process().mark)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        mark = child.communicate()[0].strip()
    return ProcessIdentity(ProcessIdentity.of_this_process().host, child.pid, mark)


def make_run(
    instance: dg.DagsterInstance,
    status: DagsterRunStatus = DagsterRunStatus.STARTING,
    *,
    job: str = "surgical_sync_job",
    block: dict[str, object] | None = None,
    tags: dict[str, str] | None = None,
) -> str:
    """A run that only this instance knows."""
    run = instance.create_run_for_job(
        job_def=defs.resolve_job_def(job),
        run_config={"ops": {"surgical_sync": {"config": BLOCK if block is None else block}}},
        status=status,
        tags=tags,
    )
    return run.run_id


class TwoSides:
    """Both without any run; the ledger's file does not exist yet. Runs are of ``SCOPE`` unless told otherwise."""

    def __init__(self, instance: dg.DagsterInstance, folder: Path) -> None:
        self.instance = instance
        self.ledger = DuckDBLedger(folder / "ledger.duckdb")

    def make_run(
        self,
        status: DagsterRunStatus = DagsterRunStatus.STARTING,
        *,
        job: str = "surgical_sync_job",
        block: dict[str, object] | None = None,
        tags: dict[str, str] | None = None,
    ) -> str:
        """A run that only Dagster knows."""
        return make_run(self.instance, status, job=job, block=block, tags=tags)

    def begin(self, run_id: str, clock: Clock = utc_now) -> SyncRunRecorder:
        """The run's first stage, worked on by this process."""
        recorder = SyncRunRecorder(self.ledger, run_id, clock=clock)
        recorder.start_surgical(SCOPE, mode=RunMode.SURGICAL, trigger=Trigger.LAUNCHPAD)
        return recorder

    def move_to(self, worker: ProcessIdentity, run_id: str) -> None:
        """Have the ledger say that another process works on the run."""
        with self.ledger.write("plant") as tx:
            tx._connection.execute(
                "UPDATE sync_runs SET host = $host, pid = $pid, process = $mark WHERE run_id = $run_id",
                {"run_id": run_id, "host": worker.host, "pid": worker.pid, "mark": worker.mark},
            )

    def lose_worker(self, run_id: str) -> None:
        """Have the ledger say that a process works on the run which has ended."""
        self.move_to(gone_process(), run_id)

    def fail_inside(self, error: Exception) -> str:
        """A run whose stage raises in Dagster, and that the ledger still takes for running."""

        @dg.op
        def preflight() -> None:
            raise error

        @dg.job(name="surgical_sync_job")
        def failing() -> None:
            preflight()

        run_id = failing.execute_in_process(instance=self.instance, raise_on_error=False).run_id
        self.begin(run_id)
        return run_id

    def report(self, run_id: str, what: DagsterEventType) -> None:
        """Have Dagster say that the run has ended so."""
        event = dg.DagsterEvent(event_type_value=what.value, job_name="surgical_sync_job")
        self.instance.report_dagster_event(event, run_id)

    def reconcile(self, clock: Clock = utc_now) -> list[Change]:
        """One look of a mirror that has not looked before, and what it put right."""
        mirror = Mirror(self.instance, self.ledger, clock=clock)
        mirror.reconcile()
        return mirror.changes

    def result(self, run_id: str) -> SyncResult:
        """What the ledger says of the run."""
        with self.ledger.read() as tx:
            found = load_result(tx, run_id)
        assert found is not None
        return found

    def error(self, run_id: str) -> RunError:
        """Why the ledger says that the run failed."""
        found = self.result(run_id).error
        assert found is not None
        return found

    def dagster_word(self, run_id: str) -> object:
        """What the ledger says that Dagster says."""
        ((word,),) = query(self.ledger.path, f"SELECT dagster_status FROM sync_runs WHERE run_id = '{run_id}'")
        return word

    def dagster_status(self, run_id: str) -> DagsterRunStatus:
        """What Dagster says."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status
