import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.stage_run import ISSUES, MERGE_REQUESTS, issue, merge_request

pytestmark = pytest.mark.both_ledgers

LONG_THREAD = 51
"""An issue whose discussions fill two pages."""
DISCUSSIONS = f"{ISSUES}/{LONG_THREAD}/discussions"
NOTES = "SELECT note_id, payload FROM notes ORDER BY note_id"


def test_every_page_of_every_core_dependent_arrives(start: Start, rows: Rows) -> None:
    run = start(f"acme/rocket#12+{LONG_THREAD}!34")
    sources = run.up_to_ingest()
    assert run.dependents(sources) == sources
    assert rows(f"SELECT count(*) >= 150 FROM notes WHERE noteable_iid = {LONG_THREAD}") == [(True,)]
    assert rows("SELECT dependents_replaced, dependent_failures FROM sync_runs") == [(12, 0)]
    assert not any(one.has_warning for one in run.recorder.outcomes())


def test_a_failed_page_keeps_all_that_was_there_and_the_rest_is_replaced(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    start(f"acme/rocket#12+{LONG_THREAD}").up_to_dependents()
    before = rows(f"{NOTES} LIMIT 10000")
    added = sandbox.control.add_note(LONG_THREAD, "half of the pages must not bring this in")
    new = sandbox.control.add_note(12, "but this one comes")
    sandbox.control.add_fault(DISCUSSIONS, query="page=2", status=500)
    run = start(f"acme/rocket#12+{LONG_THREAD}")
    run.up_to_dependents()
    after = rows(NOTES)
    assert set(before) <= set(after)
    assert {row[0] for row in after} - {row[0] for row in before} == {new.note["id"]} != {added.note["id"]}
    (failure,) = run.outcome(issue(LONG_THREAD)).dependent_failures
    assert (failure.code, failure.dependent) == (FailureCode.SERVER_ERROR, "discussions")
    assert run.outcome(issue(LONG_THREAD)).failure is None
    assert not run.outcome(issue(12)).has_warning
    counted = "SELECT dependents_replaced, dependent_failures FROM sync_runs WHERE run_id = 'run-2'"
    assert rows(counted) == [(7, 1)]


def test_a_dependent_that_vanished_in_gitlab_vanishes_from_the_ledger(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    added = sandbox.control.add_note(12, "gone soon")
    start("acme/rocket#12").up_to_dependents()
    sandbox.control.delete_note(added.note["id"])
    start("acme/rocket#12").up_to_dependents()
    assert rows(f"SELECT count(*) FROM notes WHERE note_id = {added.note['id']}") == [(0,)]


def test_finished_entities_are_written_in_groups(start: Start, rows: Rows) -> None:
    run = start("acme/rocket#1-40")
    sources = run.up_to_ingest()
    windows = run.windows_of(lambda: run.dependents(sources, wanted=[Dependent.STATE_EVENTS]))
    assert windows <= len(sources.keys) // 3
    fetched = rows("SELECT count(*) FROM dependent_fetches")
    assert fetched == [(len(sources.keys),)]


def test_nothing_is_written_where_nothing_is_wanted(start: Start) -> None:
    run = start("acme/rocket#12!34")
    sources = run.up_to_ingest()
    assert run.windows_of(lambda: run.dependents(sources, wanted=[])) == 0


def test_each_entity_is_asked_only_for_what_its_kind_has(start: Start, sandbox: RunningSandbox) -> None:
    run = start("acme/rocket#12!34")
    sources = run.up_to_ingest()
    sandbox.control.clear_requests()
    run.dependents(sources, wanted=[Dependent.LINKS, Dependent.CLOSES_ISSUES])
    assert sorted(one.path for one in sandbox.control.requests().requests) == [
        f"{ISSUES}/12/links",
        f"{MERGE_REQUESTS}/34/closes_issues",
    ]


def test_a_slow_entity_times_out_alone(start: Start, rows: Rows, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(f"{ISSUES}/13/resource_state_events", delay_ms=20_000)
    run = start("acme/rocket#12-14")
    run.dependents(run.up_to_ingest(), budgets=Budgets(entity_timeout_seconds=1))
    (failure,) = run.outcome(issue(13)).dependent_failures
    assert (failure.code, failure.dependent) == (FailureCode.TIMEOUT, "state_events")
    assert rows("SELECT count(*) FROM dependent_fetches") == [(3 * 4 - 1,)]


def test_a_spent_budget_is_a_timeout_of_each_dependent_that_was_left(
    start: Start, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("*/resource_state_events", delay_ms=20_000)
    run = start("acme/rocket#1-25")
    sources = run.up_to_ingest()
    run.dependents(sources, wanted=[Dependent.STATE_EVENTS], budgets=Budgets(dependents_budget_seconds=0.5))
    failures = [failure for one in run.recorder.outcomes() for failure in one.dependent_failures]
    assert len(failures) == len(sources.keys) > 16
    assert {failure.code for failure in failures} == {FailureCode.TIMEOUT}
    assert any("before state_events of #" in failure.message for failure in failures)


def test_a_wait_that_gitlab_asks_for_beyond_the_budget_is_told_at_once_with_its_stage(
    start: Start, sandbox: RunningSandbox
) -> None:
    """A run that waited would outlast this test."""
    run = start("acme/rocket#12+13")
    sources = run.up_to_ingest()
    sandbox.control.add_fault("*/issues/12/discussions", status=429, headers={"Retry-After": "86400"})
    sandbox.control.clear_requests()
    an_hour = Budgets(entity_timeout_seconds=3600, dependents_budget_seconds=3600)
    run.dependents(sources, wanted=[Dependent.DISCUSSIONS], budgets=an_hour)
    (failure,) = run.outcome(issue(12)).dependent_failures
    assert (failure.code, failure.stage) == (FailureCode.RATE_LIMITED, "dependents")
    assert [one.status for one in sandbox.control.requests().requests if "/12/" in one.path] == [429]


def test_an_entity_that_vanished_since_ingest_is_named(start: Start, sandbox: RunningSandbox) -> None:
    run = start("acme/rocket#12+13")
    sources = run.up_to_ingest()
    sandbox.control.delete_issue(13)
    run.dependents(sources)
    failures = run.outcome(issue(13)).dependent_failures
    assert {failure.code for failure in failures} == {FailureCode.NOT_FOUND}
    assert len(failures) == 4
    assert not run.outcome(issue(12)).has_warning


def test_code_is_fetched_again_only_when_head_or_target_branch_moved(
    start: Start, sandbox: RunningSandbox
) -> None:
    def requests_of_a_run() -> int:
        run = start("acme/rocket!34")
        sources = run.up_to_ingest()
        sandbox.control.clear_requests()
        run.dependents(sources, wanted=[Dependent.COMMITS, Dependent.DIFFS])
        assert not run.outcome(merge_request(34)).has_warning
        return sandbox.control.requests().count

    assert requests_of_a_run() >= 2
    assert requests_of_a_run() == 0
    sandbox.control.update_merge_request(34, target_branch="release")
    assert requests_of_a_run() >= 2
    assert requests_of_a_run() == 0
    sandbox.control.update_merge_request(34, sha="e" * 40)
    assert requests_of_a_run() >= 2


def test_emoji_and_approvals_are_replaced_whole(start: Start, rows: Rows, sandbox: RunningSandbox) -> None:
    wanted = [Dependent.AWARD_EMOJI, Dependent.APPROVALS]
    emoji = (
        "SELECT noteable_type, noteable_iid, record_id::BIGINT FROM award_emoji "
        "WHERE payload->>'name' = 'rocket' ORDER BY 1, 2"
    )
    approved = "SELECT iid, record_id, payload->>'approved' FROM merge_request_approvals"

    def run() -> None:
        one = start("acme/rocket#12!34")
        one.dependents(one.up_to_ingest(), wanted=wanted)
        assert not any(outcome.has_warning for outcome in one.recorder.outcomes())

    sandbox.control.set_approvers(34, "mira.okafor")
    first = sandbox.control.add_award(12, "rocket")["id"]
    other = sandbox.control.add_award(34, "rocket", kind="merge_request")["id"]
    run()
    assert rows(emoji) == [("issue", 12, first), ("merge_request", 34, other)]
    assert rows(approved) == [(34, "approvals", "true")]
    sandbox.control.delete_award(12, first)
    sandbox.control.set_approvers(34)
    run()
    assert rows(emoji) == [("merge_request", 34, other)]
    assert rows(approved) == [(34, "approvals", "false")]
