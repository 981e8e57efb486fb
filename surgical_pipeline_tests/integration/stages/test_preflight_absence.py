"""What GitLab leaves out, refuses, hides, moves and renames, from preflight's question to the ledger's rows."""

import pytest

from surgical_pipeline.domain.failures import FailureCode, StageFailedError
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.stage_run import (
    ISSUES,
    MERGE_REQUESTS,
    StageRun,
    issue,
    merge_request,
)
from surgical_pipeline_tests.ledger_dump import content_of

pytestmark = pytest.mark.both_ledgers

MISSED = "SELECT count(*) FROM merge_requests WHERE missed_at IS NOT NULL OR deleted_at IS NOT NULL"


def failure_of(run: StageRun, iid: int) -> FailureCode | None:
    failure = run.outcome(merge_request(iid)).failure
    return failure.code if failure else None


def test_merge_requests_that_the_token_may_not_read_fail_alone_and_are_no_miss(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    start("acme/rocket#12!34").up_to_ingest()
    sandbox.control.add_fault(MERGE_REQUESTS, status=403)
    for _ in range(3):
        run = start("acme/rocket#12!34")
        assert run.up_to_ingest().keys == (issue(12),)
        assert failure_of(run, 34) is FailureCode.FORBIDDEN
    assert rows(MISSED) == [(0,)]


def test_one_merge_request_that_may_not_be_read_fails_alone_and_is_no_miss(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    start("acme/rocket!34+35").up_to_ingest()
    sandbox.control.add_fault(MERGE_REQUESTS, leave_out_iids=[34])
    sandbox.control.add_fault(f"{MERGE_REQUESTS}/34", status=403)
    for _ in range(3):
        run = start("acme/rocket!34+35")
        assert run.up_to_ingest().keys == (merge_request(35),)
        assert failure_of(run, 34) is FailureCode.FORBIDDEN
    assert rows(MISSED) == [(0,)]


@pytest.mark.parametrize("gone", [ISSUES, f"{ISSUES}/13"], ids=["before the lists", "before the single answers"])
def test_a_project_that_goes_during_preflight_fails_the_run_and_tombstones_nothing(
    start: Start, ledger: Ledger, sandbox: RunningSandbox, gone: str
) -> None:
    start("acme/rocket#12+13").up_to_ingest()
    before = content_of(ledger, with_run_columns=True)
    if gone != ISSUES:
        sandbox.control.add_fault(ISSUES, leave_out_iids=[13])
    sandbox.control.add_fault(gone, status=404, body='{"message": "404 Project Not Found"}')
    for _ in range(3):
        with pytest.raises(StageFailedError) as caught:
            start("acme/rocket#12+13").up_to_ingest()
        assert caught.value.failure.code is FailureCode.PROJECT_NOT_FOUND
    assert content_of(ledger, with_run_columns=True) == before


def test_an_issue_made_confidential_keeps_its_flag_and_vanishes_for_a_token_without_the_right(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    sandbox.control.update_issue(12, confidential=True)
    start("acme/rocket#12+13").up_to_docs()
    assert rows("SELECT iid FROM issues WHERE confidential") == [(12,)]
    flagged = rows("SELECT DISTINCT iid, confidential FROM documents ORDER BY iid")
    assert flagged == [(12, True), (13, False)]
    for _ in range(2):
        guest = start("acme/rocket#12+13", token=sandbox.guest_token)
        guest.up_to_ingest()
    assert guest.outcome(issue(12)).tombstoned
    assert rows("SELECT DISTINCT iid FROM documents WHERE deleted_at IS NULL") == [(13,)]


@pytest.mark.parametrize(
    ("switch", "listed", "scope"),
    [
        ("issues_enabled", ISSUES, "acme/rocket#12+13!34"),
        ("merge_requests_enabled", MERGE_REQUESTS, "acme/rocket#12!34+35"),
    ],
)
def test_what_the_project_hides_from_the_token_as_a_whole_is_forbidden_and_no_miss(
    start: Start, rows: Rows, sandbox: RunningSandbox, switch: str, listed: str, scope: str
) -> None:
    """GitLab gives an empty list and 404 then, as if everything had been deleted."""
    start(scope).up_to_ingest()
    before = rows("SELECT iid, title FROM issues UNION ALL SELECT iid, title FROM merge_requests")
    sandbox.control.add_fault("/api/v4/projects/acme%2Frocket", override={switch: False})
    sandbox.control.add_fault(listed, leave_out_iids=[12, 13, 34, 35])
    sandbox.control.add_fault(f"{listed}/*", status=404)
    for _ in range(3):
        run = start(scope)
        assert len(run.up_to_ingest().keys) == 1
        codes = [one.failure.code for one in run.recorder.outcomes() if one.failure]
        assert codes == [FailureCode.FORBIDDEN] * (len(before) - 1)
    after = (
        "SELECT iid, title FROM issues WHERE missed_at IS NULL AND deleted_at IS NULL UNION ALL "
        "SELECT iid, title FROM merge_requests WHERE missed_at IS NULL AND deleted_at IS NULL"
    )
    assert rows(after) == before


def test_a_moved_issue_says_where_it_went(start: Start, rows: Rows, sandbox: RunningSandbox) -> None:
    sample = sandbox.app.state.world.sample.entities.values()
    moved = next(one for one in sample if one.kind == "issue" and one.payload["moved_to_id"])
    run = start(f"acme/rocket#{moved.iid}")
    run.up_to_ingest()
    assert run.outcome(issue(moved.iid)).moved_to_id == moved.payload["moved_to_id"]
    kept = rows("SELECT iid, moved_to_id FROM issues")
    assert kept == [(moved.iid, moved.payload["moved_to_id"])]


def test_a_renamed_project_keeps_its_id_and_gets_its_new_path(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    earlier = {"path_with_namespace": "acme/rocket-old"}
    sandbox.control.add_fault("/api/v4/projects/4201", override=earlier, times=1)
    start("acme/rocket-old#12").up_to_ingest()
    known = "SELECT project_id, path FROM projects"
    assert rows(known) == [(4201, "acme/rocket-old")]
    start("acme/rocket-old#12").up_to_ingest()
    assert rows(known) == [(4201, "acme/rocket")]
    assert rows("SELECT DISTINCT project_id FROM issues") == [(4201,)]
