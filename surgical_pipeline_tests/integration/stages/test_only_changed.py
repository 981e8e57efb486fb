from collections.abc import Callable, Sequence

import pytest

from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.handover import Sources
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.sandbox.control_client import SandboxControl
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder
from surgical_pipeline_tests.integration.stages.stage_run import ISSUES, StageRun, issue, merge_request

pytestmark = pytest.mark.both_ledgers

BOTH = "acme/rocket#12+13!34"
ALL = (issue(12), issue(13), merge_request(34))
WITH_CODE = (*CORE_DEPENDENTS, Dependent.COMMITS, Dependent.DIFFS)


def sync(run: StageRun, *, wanted: Sequence[Dependent] = CORE_DEPENDENTS, only_changed: bool = True) -> Sources:
    """A run up to docs; returns what dependents were given."""
    sources = run.ingest(run.preflight(), only_changed=wanted if only_changed else ())
    run.docs(run.dependents(sources, wanted=wanted))
    return sources


def changed(sources: Sources) -> set[EntityKey]:
    return {*sources.keys} - sources.unchanged


def requests_for_dependents(sandbox: RunningSandbox) -> list[str]:
    """Their paths since the log was last cleared."""
    lists = ("/discussions", "_events", "/commits", "/diffs")
    return [one.path for one in sandbox.control.requests().requests if one.path.endswith(lists)]


def test_an_unchanged_entity_costs_no_dependent_request_and_is_usable(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    sync(start(BOTH))
    sandbox.control.clear_requests()
    again = start(BOTH)
    assert changed(sync(again)) == set()
    assert requests_for_dependents(sandbox) == []
    assert all(one.unchanged and one.ingested and one.usable for one in again.recorder.outcomes())
    assert rows("SELECT run_id, unchanged FROM entity_outcomes ORDER BY 1, 2") == [
        *([("run-1", False)] * 3),
        *([("run-2", True)] * 3),
    ]
    assert rows("SELECT DISTINCT run_id FROM issues") == [("run-2",)]


def test_a_run_that_does_not_ask_for_it_fetches_everything(start: Start) -> None:
    sync(start(BOTH))
    assert changed(sync(start(BOTH), only_changed=False)) == set(ALL)


EDITS: dict[str, Callable[[SandboxControl], object]] = {
    "title": lambda gitlab: gitlab.update_issue(12, title="renamed", bump_updated_at=False),
    "note": lambda gitlab: gitlab.add_note(12, "a note", bump_updated_at=False),
    "emoji": lambda gitlab: gitlab.add_award(12, "thumbsup"),
    "label": lambda gitlab: gitlab.update_issue(12, labels=["other"], bump_updated_at=False),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_change_that_does_not_move_updated_at_is_seen_in_the_record(
    start: Start, sandbox: RunningSandbox, edit: Callable[[SandboxControl], object]
) -> None:
    sync(start(BOTH))
    edit(sandbox.control)
    assert changed(sync(start(BOTH))) == {issue(12)}
    assert changed(sync(start(BOTH))) == set()


def test_an_entity_that_was_not_settled_is_fetched_once_more(start: Start, sandbox: RunningSandbox) -> None:
    sandbox.control.update_issue(12, title="just now")
    sync(start("acme/rocket#12+13"))
    assert changed(sync(start("acme/rocket#12+13"))) == {issue(12)}


def test_dependents_that_failed_are_fetched_again_though_the_record_is_the_same(
    start: Start, sandbox: RunningSandbox
) -> None:
    sync(start(BOTH))
    sandbox.control.update_issue(12, title="renamed", bump_updated_at=False)
    sandbox.control.add_fault(f"{ISSUES}/12/discussions", status=404)
    sync(start(BOTH))
    sandbox.control.clear_faults()
    assert changed(sync(start(BOTH))) == {issue(12)}
    assert changed(sync(start(BOTH))) == set()


def test_dependents_that_were_never_asked_for_are_fetched(start: Start) -> None:
    sync(start(BOTH))
    assert changed(sync(start(BOTH), wanted=(*CORE_DEPENDENTS, Dependent.LINKS))) == {issue(12), issue(13)}


def test_code_that_a_later_run_did_not_need_to_fetch_keeps_no_merge_request_changed(
    start: Start, sandbox: RunningSandbox
) -> None:
    for _ in range(2):
        sync(start("acme/rocket!34"), wanted=WITH_CODE, only_changed=False)
    assert changed(sync(start("acme/rocket!34"), wanted=WITH_CODE)) == set()
    sandbox.control.update_merge_request(34, sha="b" * 40, bump_updated_at=False)
    assert changed(sync(start("acme/rocket!34"), wanted=WITH_CODE)) == {merge_request(34)}


def test_a_missed_and_a_tombstoned_entity_come_back_as_changed(start: Start, sandbox: RunningSandbox) -> None:
    sync(start(BOTH))
    for misses in (1, 2):
        sandbox.control.delete_issue(12)
        for _ in range(misses):
            sync(start(BOTH))
        sandbox.control.restore_issue(12)
        assert changed(sync(start(BOTH))) == {issue(12)}


def test_a_stale_answer_is_not_unchanged(start: Start) -> None:
    early, later = start("acme/rocket#12"), start("acme/rocket#12")
    preflight = early.preflight()
    sync(later)
    assert changed(early.ingest(preflight, only_changed=CORE_DEPENDENTS)) == {issue(12)}
    assert early.outcome(issue(12)).stale_skipped


def test_ingest_that_is_repeated_says_the_same(start: Start) -> None:
    sync(start(BOTH))
    run = start(BOTH)
    preflight = run.preflight()
    for _ in range(2):
        assert changed(run.ingest(preflight, only_changed=CORE_DEPENDENTS)) == set()


def test_a_run_killed_after_ingest_leaves_a_changed_entity_to_the_next(
    start: Start, sandbox: RunningSandbox
) -> None:
    sync(start(BOTH))
    sandbox.control.update_issue(12, title="renamed", bump_updated_at=False)
    killed = start(BOTH)
    killed.ingest(killed.preflight(), only_changed=CORE_DEPENDENTS)
    assert changed(sync(start(BOTH))) == {issue(12)}


def test_documents_without_vectors_of_an_unchanged_entity_are_embedded(start: Start) -> None:
    sync(start(BOTH))
    run = start(BOTH)
    documents = run.docs(run.dependents(run.ingest(run.preflight(), only_changed=CORE_DEPENDENTS))).documents
    assert {one.unchanged for one in run.recorder.outcomes()} == {True}
    assert len(run.embed(documents, embedder=FakeEmbedder()).embedded) == len(documents) > 0


def test_an_earlier_fetch_cannot_pass_for_one_after_the_row_was_seen_unchanged(start: Start, rows: Rows) -> None:
    """Seen unchanged, the row is as fresh as that look: what was fetched before it may not replace it."""
    sync(start("acme/rocket#12"))
    slow = start("acme/rocket#12")
    preflight = slow.preflight()
    looked = start("acme/rocket#12")
    assert changed(looked.ingest(looked.preflight(), only_changed=CORE_DEPENDENTS)) == set()
    slow.ingest(preflight)
    assert slow.outcome(issue(12)).stale_skipped
    assert rows("SELECT run_id FROM issues") == [("run-3",)]
