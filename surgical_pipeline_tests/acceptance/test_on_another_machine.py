"""A run that is executed again from a later stage, on a machine without the files of the earlier ones."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.run_watch import assert_whole, result_of

SCOPE = "acme/rocket#12+13!34"


def surgical_sync_job() -> dg.JobDefinition:
    return defs.resolve_job_def("surgical_sync_job")


def executed_again(run_id: str, stage: str) -> tuple[str, list[str]]:
    """From that stage on. The new run's id, and the warnings in Dagster's log."""
    with dg.DagsterInstance.get() as instance:
        options = dg.ReexecutionOptions(parent_run_id=run_id, step_selection=[f"surgical_sync.{stage}*"])
        job = dg.reconstructable(surgical_sync_job)
        before = instance.get_run_by_id(run_id)
        assert before is not None
        with dg.execute_job(
            job, instance, reexecution_options=options, run_config=before.run_config, raise_on_error=False
        ) as done:
            warnings = [entry.user_message for entry in instance.all_logs(done.run_id) if entry.level == 30]
            return done.run_id, warnings


def delete_files_of(run_id: str, home: Path) -> None:
    shutil.rmtree(home / "storage" / run_id)
    (home / "snapshots" / f"{run_id}.jsonl").unlink(missing_ok=True)


@pytest.mark.parametrize("stage", ["ingest", "dependents", "docs", "embed"])
def test_it_says_so_and_fetches_everything_again(
    home: Path, ledger: DuckDBLedger, sandbox: RunningSandbox, sync: Sync, stage: str
) -> None:
    first = sync(SCOPE)
    sandbox.control.update_issue(12, title="Another title")
    sandbox.control.add_note(13, "A remark that was made meanwhile.")
    delete_files_of(first.run_id, home)
    run_id, warnings = executed_again(first.run_id, stage)
    result = result_of(ledger.path, run_id)
    assert (result.completion_status, result.phase, result.parent_run_id) == ("succeeded", "done", first.run_id)
    assert [warning for warning in warnings if "is not on this machine" in warning]
    assert query(ledger.path, "SELECT title FROM issues WHERE iid = 12") == [("Another title",)]
    remark = "SELECT count(*) FROM documents WHERE content LIKE '%that was made meanwhile%' AND deleted_at IS NULL"
    assert query(ledger.path, remark) == [(1,)]
    lacking = (
        "SELECT count(*) FROM documents LEFT JOIN embeddings USING (document_id) WHERE embeddings.model IS NULL"
    )
    assert query(ledger.path, f"{lacking} AND documents.deleted_at IS NULL") == [(0,)]
    phases = f"SELECT count(*) FROM sync_run_phases WHERE run_id = '{run_id}'"
    assert query(ledger.path, phases) == [(5,)]
    assert_whole(ledger.path)


def test_with_the_values_and_without_the_payloads_it_fetches_them_again(ledger: DuckDBLedger, sync: Sync) -> None:
    """A run that succeeded has deleted its payloads; the values are there."""
    first = sync(SCOPE)
    run_id, warnings = executed_again(first.run_id, "ingest")
    assert result_of(ledger.path, run_id).completion_status == "succeeded"
    assert [warning for warning in warnings if "is not on this machine" in warning]
    assert_whole(ledger.path)


def test_on_the_same_machine_nothing_is_fetched_again(
    ledger: DuckDBLedger, sandbox: RunningSandbox, sync: Sync
) -> None:
    first = sync(SCOPE)
    sandbox.control.clear_requests()
    run_id, warnings = executed_again(first.run_id, "docs")
    assert result_of(ledger.path, run_id).completion_status == "succeeded"
    assert warnings == []
    assert sandbox.control.requests().count == 0
