from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from surgical_pipeline.domain.failures import FailureCode, StageFailedError
from surgical_pipeline.domain.handover import PreflightResult
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.gitlab.snapshots import SnapshotFile
from surgical_pipeline.ledger.errors import RunLostError
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.stage_run import ISSUES, MERGE_REQUESTS, issue, merge_request
from surgical_pipeline_tests.ledger_dump import Row, content_of

pytestmark = pytest.mark.both_ledgers

TITLE = "SELECT title, run_id FROM issues WHERE iid = 12"


def many(preflight: PreflightResult, count: int) -> PreflightResult:
    """The result of a preflight that fetched so many issues, made of the one that it did fetch."""
    ((one,),) = SnapshotFile(preflight.snapshots).batches()
    records = [replace(one, key=issue(iid), gitlab_id=iid) for iid in range(1, count + 1)]
    snapshots = SnapshotFile(preflight.snapshots.with_name("many.jsonl"))
    snapshots.append(records)
    return replace(preflight, snapshots=snapshots.path, fetched=tuple(record.key for record in records))


def test_fetched_entities_are_written_and_handed_on(start: Start, rows: Rows) -> None:
    run = start("acme/rocket#12+13!34")
    sources = run.up_to_ingest()
    assert (sources.project_id, sources.project_path) == (4201, "acme/rocket")
    assert sources.keys == (issue(12), issue(13), merge_request(34))
    assert all(one.fetched and one.ingested and not one.has_warning for one in run.recorder.outcomes())
    assert rows("SELECT iid, run_id FROM issues ORDER BY iid") == [(12, "run-1"), (13, "run-1")]
    assert rows("SELECT requested, fetched, ingested FROM sync_runs") == [(3, 3, 3)]


def test_a_fresher_row_in_the_ledger_stays_and_the_entity_still_goes_on_to_dependents(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    slow, quick = start("acme/rocket#12+13"), start("acme/rocket#12")
    early = slow.preflight()
    sandbox.control.update_issue(12, title="renamed meanwhile")
    quick.up_to_ingest()
    sources = slow.ingest(early)
    assert rows(TITLE) == [("renamed meanwhile", "run-2")]
    assert sources.keys == (issue(12), issue(13))
    skipped = slow.outcome(issue(12))
    assert (skipped.ingested, skipped.stale_skipped) == (False, True)
    assert slow.outcome(issue(13)).ingested
    assert rows("SELECT ingested, stale_skipped FROM sync_runs WHERE run_id = 'run-1'") == [(1, 1)]


def test_a_later_fetch_with_the_same_updated_at_is_written(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    start("acme/rocket#12").up_to_ingest()
    sandbox.control.update_issue(12, title="GitLab hid this change", bump_updated_at=False)
    start("acme/rocket#12").up_to_ingest()
    assert rows(TITLE) == [("GitLab hid this change", "run-2")]


def test_entities_are_written_in_windows_of_a_hundred(start: Start, rows: Rows) -> None:
    run = start("acme/rocket#1-250")
    preflight = many(start("acme/rocket#12").preflight(), 250)
    windows = run.windows_of(lambda: run.ingest(preflight))
    assert windows == 3
    assert rows("SELECT count(*) FROM issues") == [(250,)]


def test_counters_are_those_of_the_windows_that_were_written(start: Start, rows: Rows) -> None:
    """The run ends between two windows, as by a kill: no counter may speak of what was never written."""

    class Cancelled(SyncRunRecorder):
        def save_outcomes(self, tx: Transaction, outcomes: Sequence[EntityOutcome]) -> None:
            if any(outcome.iid == 101 for outcome in outcomes):
                raise ZeroDivisionError
            super().save_outcomes(tx, outcomes)

    run = start("acme/rocket#1-250", recorder=Cancelled)
    preflight = many(start("acme/rocket#12").preflight(), 250)
    with pytest.raises(ZeroDivisionError):
        run.ingest(preflight)
    told = rows("SELECT fetched, ingested FROM sync_runs WHERE run_id = 'run-1'")
    assert told == [(100, 100)]


def test_a_run_that_was_cancelled_meanwhile_writes_nothing(start: Start, ledger: Ledger) -> None:
    run = start("acme/rocket#12")
    preflight = run.preflight()
    SyncRunRecorder(ledger, run.recorder.run_id).finish_cancelled()
    with pytest.raises(RunLostError):
        run.ingest(preflight)
    assert all(rows == [] for rows in content_of(ledger).values())


def test_the_second_miss_in_a_row_tombstones_and_is_usable(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    start("acme/rocket#12+13").up_to_ingest()
    sandbox.control.delete_issue(12)
    first, second = start("acme/rocket#12+13"), start("acme/rocket#12+13")
    assert first.up_to_ingest().keys == (issue(13),)
    assert not first.outcome(issue(12)).tombstoned
    second.up_to_ingest()
    gone = second.outcome(issue(12))
    assert gone.tombstoned
    assert gone.failure is not None
    assert gone.failure.code is FailureCode.NOT_FOUND
    assert rows("SELECT iid FROM issues WHERE deleted_at IS NOT NULL") == [(12,)]


@pytest.mark.parametrize(
    ("table", "scope", "gone"),
    [("issues", "acme/rocket#{}", (12, 13, 14)), ("merge_requests", "acme/rocket!{}", (34, 35, 36))],
)
def test_a_miss_changes_no_row_of_an_entity_that_was_not_asked_for(
    start: Start, rows: Rows, sandbox: RunningSandbox, table: str, scope: str, gone: tuple[int, int, int]
) -> None:
    def rows_but(*asked_for: int) -> list[Row]:
        return rows(f"SELECT * FROM {table} WHERE iid NOT IN {(*asked_for, 0)} ORDER BY iid")

    first, second, third = gone
    start(scope.format(f"{first}+{second}+{third}")).up_to_ingest()
    for iid in gone:
        (sandbox.control.delete_issue if table == "issues" else sandbox.control.delete_merge_request)(iid)
    known = rows_but(first, second)
    with pytest.raises(StageFailedError):
        start(scope.format(f"{first}+{second}")).up_to_ingest()
    assert rows_but(first, second) == known
    missed = rows_but(first)
    start(scope.format(first)).up_to_ingest()
    assert rows_but(first) == missed
    assert rows(f"SELECT iid FROM {table} WHERE deleted_at IS NOT NULL") == [(first,)]


def test_a_stale_answer_takes_the_miss_off_no_other_entity(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    start("acme/rocket#12+13").up_to_ingest()
    sandbox.control.delete_issue(12)
    start("acme/rocket#12+13").up_to_ingest()
    sandbox.control.update_issue(13, updated_at="2020-01-01T00:00:00Z")
    run = start("acme/rocket#13")
    run.up_to_ingest()
    assert run.outcome(issue(13)).stale_skipped
    assert rows("SELECT iid FROM issues WHERE missed_at IS NOT NULL") == [(12,)]


def test_nothing_usable_ends_the_run_with_the_commonest_reason(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(MERGE_REQUESTS, status=500)
    run = start("acme/rocket#9998+9999!34")
    with pytest.raises(StageFailedError, match="none of the 3 requested entities") as caught:
        run.up_to_ingest()
    assert caught.value.failure.code is FailureCode.NOT_FOUND


def test_lists_that_all_fail_end_the_run_with_their_own_reason(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(f"{ISSUES}*", status=500)
    with pytest.raises(StageFailedError, match="none of the 2 requested entities") as caught:
        start("acme/rocket#12+13").up_to_ingest()
    assert caught.value.failure.code is FailureCode.SERVER_ERROR


def test_an_entity_fetched_soon_after_its_last_change_is_not_settled(
    start: Start, sandbox: RunningSandbox
) -> None:
    sandbox.control.update_issue(13, title="just now")
    run = start("acme/rocket#12+13")
    run.up_to_ingest()
    assert (run.outcome(issue(12)).settled, run.outcome(issue(13)).settled) == (True, False)


@pytest.mark.parametrize("key", [issue(12), merge_request(34)], ids=str)
def test_a_row_fetched_earlier_than_the_ledgers_is_stale_even_if_its_change_is_the_same(
    start: Start, rows: Rows, key: EntityKey
) -> None:
    early = start(f"acme/rocket{key}")
    preflight = early.preflight()
    ((record,),) = SnapshotFile(preflight.snapshots).batches()
    later = SnapshotFile(preflight.snapshots.with_name("later.jsonl"))
    later.append([replace(record, fetched_at=record.fetched_at + timedelta(seconds=5))])
    start(f"acme/rocket{key}").ingest(replace(preflight, snapshots=later.path))
    early.ingest(preflight)
    assert early.outcome(key).stale_skipped
    runs = rows("SELECT run_id FROM issues UNION ALL SELECT run_id FROM merge_requests")
    assert runs == [("run-2",)]


def test_an_earlier_answer_about_the_project_does_not_replace_a_later_one(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    earlier = {"path_with_namespace": "acme/rocket-old"}
    sandbox.control.add_fault("/api/v4/projects/acme%2Frocket", override=earlier, times=1)
    slow = start("acme/rocket#12")
    preflight = slow.preflight()
    start("acme/rocket#12").up_to_ingest()
    slow.ingest(preflight)
    assert rows("SELECT path, run_id FROM projects") == [("acme/rocket", "run-2")]
