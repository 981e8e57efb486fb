import asyncio
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import pytest

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.ledger.errors import RunLostError
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.stages.docs import MAX_ATTEMPTS
from surgical_pipeline_tests.integration.ledger.examples import run_sql
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder
from surgical_pipeline_tests.integration.stages.stage_run import issue
from surgical_pipeline_tests.ledger_dump import query

pytestmark = pytest.mark.both_ledgers

T = TypeVar("T")
TITLES = "SELECT title FROM documents WHERE kind = 'issue' ORDER BY iid"


class OvertakenRecorder(SyncRunRecorder):
    """After each read of this run, as long as there are any, the next of ``changes`` happens."""

    def __init__(self, ledger: Ledger, run_id: str, *, changes: Iterable[Callable[[], object]]) -> None:
        super().__init__(ledger, run_id)
        self._changes = iter(changes)

    async def in_read(self, purpose: str, work: Callable[[Transaction], T]) -> T:
        found = await super().in_read(purpose, work)
        change = next(self._changes, None)
        if change is not None:
            await asyncio.to_thread(change)
        return found


Retitled = Callable[[str], Callable[[], object]]


@pytest.fixture
def retitled(start: Start, sandbox: RunningSandbox) -> Retitled:
    """What happens meanwhile: issue 13 gets a title in GitLab, and another run ingests it."""

    def change(title: str) -> None:
        sandbox.control.update_issue(13, title=title)
        start("acme/rocket#13").up_to_ingest()

    return lambda title: partial(change, title)


def overtaken_by(*changes: Callable[[], object]) -> Callable[[Ledger, str], SyncRunRecorder]:
    return partial(OvertakenRecorder, changes=changes)


def test_each_entity_and_each_discussion_of_people_becomes_a_document(start: Start, rows: Rows) -> None:
    run = start("acme/rocket#12!34")
    result = run.up_to_docs()
    stored = rows("SELECT document_id, content_hash FROM documents ORDER BY 1")
    assert sorted((one.document_id, one.content_hash) for one in result.documents) == stored
    assert {"issue:4201:12", "merge_request:4201:34"} < set(result.regenerated_document_ids)
    assert (result.unchanged, result.errored) == (0, 0)
    told = [one for outcome in run.recorder.outcomes() for one in outcome.regenerated_document_ids]
    assert sorted(told) == sorted(result.regenerated_document_ids)


def test_an_unchanged_document_is_not_regenerated(start: Start, rows: Rows) -> None:
    before = start("acme/rocket#12!34")
    first = before.up_to_docs()
    before.embed(first.documents, embedder=FakeEmbedder())
    again = start("acme/rocket#12!34")
    result = again.up_to_docs()
    assert (result.documents, result.unchanged) == ((), first.regenerated)
    assert rows("SELECT DISTINCT run_id FROM documents") == [("run-1",)]
    assert not any(one.regenerated_document_ids for one in again.recorder.outcomes())


def test_only_the_changed_document_is_regenerated(start: Start, rows: Rows, sandbox: RunningSandbox) -> None:
    start("acme/rocket#12+13").up_to_embed()
    texts = "SELECT document_id, title, content, content_hash FROM documents"
    known = rows(texts)
    added = sandbox.control.add_note(12, "a new thread")
    result = start("acme/rocket#12+13").up_to_docs()
    assert result.regenerated_document_ids == (f"discussion:4201:issue:12:{added.discussion_id}",)
    new = set(rows(texts)) - set(known)
    assert {row[0] for row in new} == set(result.regenerated_document_ids)
    assert rows("SELECT iid FROM documents WHERE iid <> 12 AND run_id <> 'run-1'") == []


def test_a_source_that_another_run_changed_after_it_was_read_is_read_again(
    start: Start, rows: Rows, retitled: Retitled
) -> None:
    run = start("acme/rocket#12+13", recorder=overtaken_by(retitled("changed behind its back")))
    result = run.up_to_docs()
    assert "changed behind its back" in str(rows(TITLES)[1])
    assert len(set(result.regenerated_document_ids)) == result.regenerated
    assert result.errored == 0
    stored = rows("SELECT document_id, content_hash FROM documents")
    assert {(one.document_id, one.content_hash) for one in result.documents} == set(stored)
    counted = "SELECT documents_regenerated FROM sync_runs WHERE run_id = 'run-1'"
    assert rows(counted) == [(result.regenerated,)]


def test_a_source_that_keeps_changing_is_given_up_and_named(start: Start, rows: Rows, retitled: Retitled) -> None:
    changes = [retitled(f"change {number}") for number in range(MAX_ATTEMPTS)]
    run = start("acme/rocket#12+13", recorder=overtaken_by(*changes))
    result = run.up_to_docs()
    failure = run.outcome(issue(13)).failure
    assert failure is not None
    assert (failure.code, failure.stage) == (FailureCode.DOCUMENT_ERROR, "docs")
    assert result.errored == 1
    assert not run.outcome(issue(12)).has_warning
    assert rows("SELECT DISTINCT iid FROM documents") == [(12,)]
    written = rows("SELECT document_id FROM documents")
    assert {(one.document_id,) for one in result.documents} == set(written)
    counted = "SELECT documents_regenerated FROM sync_runs WHERE run_id = 'run-1'"
    assert rows(counted) == [(len(written),)]


def test_a_source_that_holds_still_at_the_last_attempt_is_written(
    start: Start, rows: Rows, retitled: Retitled
) -> None:
    changes = [retitled(f"change {number}") for number in range(MAX_ATTEMPTS - 1)]
    run = start("acme/rocket#13", recorder=overtaken_by(*changes))
    assert run.up_to_docs().errored == 0
    assert rows(TITLES) == [(f"change {MAX_ATTEMPTS - 2}",)]


def test_an_unchanged_document_still_gets_the_updated_at_of_its_entity(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    dates = "SELECT d.updated_at, i.updated_at FROM documents d JOIN issues i USING (iid) WHERE kind = 'issue'"
    start("acme/rocket#13").up_to_embed()
    ((before_at, _),) = rows(dates)
    sandbox.control.add_note(13, "hello", bump_updated_at=True)
    result = start("acme/rocket#13").up_to_docs()
    assert not [one for one in result.regenerated_document_ids if one.startswith("issue:")]
    ((now, issue_updated_at),) = rows(dates)
    assert now == issue_updated_at != before_at


def test_documents_of_an_entity_that_was_tombstoned_meanwhile_stay_tombstoned(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    start("acme/rocket#12+13").up_to_docs()
    sandbox.control.update_issue(12, title="its last change")
    run = start("acme/rocket#12+13")
    sources = run.up_to_dependents()
    sandbox.control.delete_issue(12)
    for _ in range(2):
        start("acme/rocket#12+13").up_to_ingest()
    run.docs(sources)
    assert rows("SELECT DISTINCT iid FROM documents WHERE deleted_at IS NULL") == [(13,)]


@pytest.mark.parametrize("broken", ['{"iid": 13, "labels": 5}', "[]", '{"title": {"not": "text"}}'])
def test_a_payload_that_cannot_be_rendered_fails_the_documents_of_its_entity_alone(
    start: Start, ledger: Ledger, broken: str
) -> None:
    run = start("acme/rocket#12-14")
    sources = run.up_to_dependents()
    with ledger.write("break") as tx:
        run_sql(tx, f"UPDATE entities SET payload = '{broken}' WHERE iid = 13")
    result = run.docs(sources)
    failure = run.outcome(issue(13)).failure
    assert failure is not None
    assert failure.code is FailureCode.DOCUMENT_ERROR
    assert result.errored == 1
    assert query(ledger, "SELECT DISTINCT iid FROM documents ORDER BY iid") == [(12,), (14,)]
    assert query(ledger, "SELECT documents_errored FROM sync_runs") == [(1,)]


def test_documents_are_rendered_with_the_lock_released(start: Start, ledger: Ledger) -> None:
    """Between reading and writing, another thread gets a write window at once."""
    got_it = threading.Event()

    def write() -> None:
        with ledger.write("somebody else"):
            got_it.set()

    start("acme/rocket#12", recorder=overtaken_by(write)).up_to_docs()
    assert got_it.is_set()


def test_a_run_that_was_cancelled_meanwhile_writes_no_document(start: Start, ledger: Ledger) -> None:
    run = start("acme/rocket#12")
    sources = run.up_to_dependents()
    SyncRunRecorder(ledger, run.recorder.run_id).finish_cancelled()
    with pytest.raises(RunLostError):
        run.docs(sources)
    assert query(ledger, "SELECT count(*) FROM documents") == [(0,)]
