"""What becomes of documents whose vectors an embedder does not give."""

from collections.abc import Callable
from typing import Any

import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.embedders.http import HttpEmbedder
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.stages.shared.vectorizing import CALL_SIZE, WINDOW_SIZE
from surgical_pipeline_tests.integration.embedders.embedding_server import (
    Reply,
    blind_to,
    refusing,
    running_server,
)
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.embed_queries import LONG_THREAD, embedded_ids
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder
from surgical_pipeline_tests.integration.stages.filled_ledger import fill
from surgical_pipeline_tests.integration.stages.stage_run import issue
from surgical_pipeline_tests.ledger_dump import query

pytestmark = pytest.mark.both_ledgers

VECTORS = "SELECT document_id, chunk_index, model, content_hash, run_id FROM embeddings ORDER BY 1, 2, 3"


def test_an_embedder_that_fails_is_a_failure_of_each_document_and_the_next_call_goes_on(
    start: Start, ledger: Ledger
) -> None:
    run = start(f"acme/rocket#12+{LONG_THREAD}")
    docs = run.up_to_docs()
    result = run.embed(docs.documents, embedder=FakeEmbedder(fails_on_calls=[1]))
    assert len(result.failed) == CALL_SIZE
    assert len(result.embedded) == docs.regenerated - CALL_SIZE > 0
    failures = [failure for one in run.recorder.outcomes() for failure in one.dependent_failures]
    assert {failure.code for failure in failures} == {FailureCode.EMBEDDER_ERROR}
    assert {failure.dependent for failure in failures} == set(result.failed)
    assert all(one.failure is None and one.ingested for one in run.recorder.outcomes())
    assert embedded_ids(ledger) == set(result.embedded)
    assert query(ledger, "SELECT documents_embed_failed FROM sync_runs") == [(CALL_SIZE,)]


@pytest.mark.parametrize(
    ("fault", "failed"),
    [({"refuses": "Issue acme/rocket#12\n"}, {"issue:4201:12"}), ({"fails_on_calls": [1]}, None)],
    ids=["one fails", "all fail"],
)
def test_only_documents_that_have_their_vector_are_told_as_embedded(
    start: Start, ledger: Ledger, sandbox: RunningSandbox, fault: dict[str, Any], failed: set[str] | None
) -> None:
    """Not those that failed, nor those whose text another run changed meanwhile."""
    run = start("acme/rocket#12+13")
    docs = run.up_to_docs()
    sandbox.control.update_issue(13, title="a newer text")
    start("acme/rocket#13").up_to_docs()
    result = run.embed(docs.documents, embedder=FakeEmbedder(**fault))
    assert "issue:4201:13" in result.superseded
    assert set(result.failed) == (failed or set(docs.regenerated_document_ids) - set(result.superseded))
    told = {one for outcome in run.recorder.outcomes() for one in outcome.embedded_document_ids}
    assert told == set(result.embedded) == embedded_ids(ledger)


def test_a_dead_embedder_is_asked_twice_however_many_windows_there_are(start: Start, ledger: Ledger) -> None:
    documents = fill(ledger, 2 * WINDOW_SIZE)
    run, embedder = start("acme/rocket#12"), FakeEmbedder(fails_on_calls=range(100))
    result = run.embed(documents, embedder=embedder)
    assert (len(result.failed), result.embedded, len(embedder.calls)) == (2 * WINDOW_SIZE, (), 2)


def test_a_failed_call_keeps_the_vectors_of_an_older_text(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    start("acme/rocket#12").up_to_embed()
    before = rows(VECTORS)
    sandbox.control.update_issue(12, title="a newer text")
    start("acme/rocket#12").up_to_embed(FakeEmbedder(fails_on_calls=[1]))
    assert rows(VECTORS) == before


def test_a_spent_budget_is_a_timeout_of_each_document(start: Start, ledger: Ledger) -> None:
    run = start("acme/rocket#12")
    docs = run.up_to_docs()
    budgets = Budgets(embed_budget_seconds=0.2)
    result = run.embed(docs.documents, embedder=FakeEmbedder(takes_seconds=1), budgets=budgets)
    assert set(result.failed) == set(docs.regenerated_document_ids)
    failures = run.outcome(issue(12)).dependent_failures
    assert {failure.code for failure in failures} == {FailureCode.TIMEOUT}
    assert embedded_ids(ledger) == set()


def test_a_spent_budget_starts_no_further_call(start: Start, rows: Rows) -> None:
    run = start(f"acme/rocket#{LONG_THREAD}")
    docs = run.up_to_docs()
    embedder, spent = FakeEmbedder(takes_seconds=2), Budgets(embed_budget_seconds=1)
    windows = run.windows_of(lambda: run.embed(docs.documents, embedder=embedder, budgets=spent))
    failed = "SELECT count(*) FROM entity_failures WHERE code = 'TIMEOUT'"
    assert rows(failed) == [(docs.regenerated,)]
    assert len(embedder.calls) == 1
    assert windows == 2, "all that is left is told together"


def test_the_next_run_embeds_what_this_one_could_not(start: Start, ledger: Ledger) -> None:
    failed = start("acme/rocket#12").up_to_embed(FakeEmbedder(fails_on_calls=[1])).failed
    start("acme/rocket#12").up_to_embed()
    assert embedded_ids(ledger) == set(failed) != set()


def test_a_text_that_the_model_refuses_fails_its_own_document_alone(start: Start, ledger: Ledger) -> None:
    run = start(f"acme/rocket#12+13+{LONG_THREAD}")
    docs = run.up_to_docs()
    refused = "issue:4201:13"
    result = run.embed(docs.documents, embedder=FakeEmbedder(refuses="Issue acme/rocket#13\n"))
    assert result.failed == (refused,)
    assert set(result.embedded) == set(docs.regenerated_document_ids) - {refused}
    (failure,) = run.outcome(issue(13)).dependent_failures
    assert (failure.code, failure.dependent) == (FailureCode.EMBEDDER_ERROR, refused)
    assert not run.outcome(issue(12)).has_warning
    assert embedded_ids(ledger) == set(result.embedded)


@pytest.mark.parametrize("always", [refusing, blind_to])
def test_a_server_that_cannot_do_one_text_costs_that_document_alone(
    start: Start, always: Callable[[str], Reply]
) -> None:
    run = start("acme/rocket#12+13!34")
    docs = run.up_to_docs()
    with running_server() as server:
        server.always = always("Issue acme/rocket#13\n")
        result = run.embed(docs.documents, embedder=HttpEmbedder(server.url, "nomic"))
    assert result.failed == ("issue:4201:13",)
    assert len(result.embedded) == docs.regenerated - 1
