from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from surgical_pipeline.domain.records import DocumentVersion
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.stages.shared.vectorizing import CALL_SIZE, WINDOW_CHARACTERS, WINDOW_SIZE
from surgical_pipeline_tests.integration.stages.beside import run_beside
from surgical_pipeline_tests.integration.stages.conftest import Rows, Start
from surgical_pipeline_tests.integration.stages.embed_queries import LONG_THREAD, embedded_ids
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder
from surgical_pipeline_tests.integration.stages.filled_ledger import fill
from surgical_pipeline_tests.ledger_dump import query

pytestmark = pytest.mark.both_ledgers

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors


def test_exactly_the_given_documents_get_vectors(start: Start, ledger: Ledger) -> None:
    run = start("acme/rocket#12!34")
    docs = run.up_to_docs()
    result = run.embed(docs.documents, embedder=FakeEmbedder())
    assert set(result.embedded) == set(docs.regenerated_document_ids) == embedded_ids(ledger)
    assert result.reused == result.superseded == result.failed == ()
    told = [one for outcome in run.recorder.outcomes() for one in outcome.embedded_document_ids]
    assert sorted(told) == sorted(result.embedded)


def test_scoped_embed_does_not_embed_unrelated_docs_created_after_docs_stage(
    start: Start, ledger: Ledger, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    run = start("acme/rocket#12")
    docs = run.up_to_docs()
    run_beside("acme/rocket#13!34", url=sandbox.url, ledger=ledger, folder=tmp_path)
    run.embed(docs.documents, embedder=FakeEmbedder())
    other = query(ledger, "SELECT DISTINCT iid FROM documents WHERE run_id = 'run-beside' ORDER BY iid")
    assert other == [(13,), (34,)]
    assert embedded_ids(ledger) == set(docs.regenerated_document_ids)


def test_documents_without_a_vector_are_left_alone_unless_they_are_named(start: Start, ledger: Ledger) -> None:
    run = start("acme/rocket#12+13")
    chosen, *_ = run.up_to_docs().documents
    run.embed([chosen], embedder=FakeEmbedder())
    assert embedded_ids(ledger) == {chosen.document_id}


def test_nothing_to_embed_calls_no_embedder(start: Start) -> None:
    run, embedder = start("acme/rocket#12"), FakeEmbedder()
    result = run.embed([], embedder=embedder)
    assert (result.embedded, embedder.calls) == ((), [])


def test_a_vector_of_this_very_text_is_reused_without_a_call(start: Start, rows: Rows) -> None:
    run = start("acme/rocket#12")
    docs = run.up_to_docs()
    run.embed(docs.documents, embedder=FakeEmbedder())
    embedder = FakeEmbedder()
    result = run.embed(docs.documents, embedder=embedder)
    assert set(result.reused) == set(docs.regenerated_document_ids)
    assert (result.embedded, embedder.calls) == ((), [])
    figures = rows("SELECT documents_embedded, documents_reused FROM sync_runs")
    assert figures == [(docs.regenerated, docs.regenerated)]


def test_another_model_does_not_reuse_the_vectors_of_the_first(start: Start, rows: Rows) -> None:
    run = start("acme/rocket#12")
    docs = run.up_to_docs()
    run.embed(docs.documents, embedder=FakeEmbedder())
    result = run.embed(docs.documents, embedder=FakeEmbedder(name="other-3"))
    assert set(result.embedded) == set(docs.regenerated_document_ids)
    assert rows("SELECT DISTINCT model FROM embeddings ORDER BY 1") == [("fake-3",), ("other-3",)]


def test_a_document_whose_text_changed_since_is_superseded(
    start: Start, ledger: Ledger, sandbox: RunningSandbox
) -> None:
    run = start("acme/rocket#12")
    docs = run.up_to_docs()
    sandbox.control.update_issue(12, title="a newer text")
    newer = start("acme/rocket#12").up_to_docs()
    changed = set(newer.regenerated_document_ids)
    result = run.embed(docs.documents, embedder=FakeEmbedder())
    assert "issue:4201:12" in changed
    assert set(result.superseded) == changed & set(docs.regenerated_document_ids)
    assert embedded_ids(ledger) == set(docs.regenerated_document_ids) - changed
    counted = "SELECT documents_superseded FROM sync_runs WHERE run_id = 'run-1'"
    assert query(ledger, counted) == [(len(result.superseded),)]


def test_a_vector_to_reuse_is_superseded_if_the_text_changes_while_others_are_computed(
    start: Start, sandbox: RunningSandbox
) -> None:
    class Overtaken(FakeEmbedder):
        def embed(self, texts: Sequence[str]) -> "Vectors":
            sandbox.control.update_issue(12, title="a newer text")
            start("acme/rocket#12").up_to_docs()
            return super().embed(texts)

    run = start("acme/rocket#12+13")
    docs = run.up_to_docs()
    run.embed([one for one in docs.documents if ":12" in one.document_id], embedder=FakeEmbedder())
    result = run.embed(docs.documents, embedder=Overtaken())
    assert "issue:4201:12" in result.superseded
    assert "issue:4201:13" in result.embedded


def test_a_document_that_does_not_exist_is_superseded(start: Start) -> None:
    run = start("acme/rocket#12")
    run.up_to_docs()
    result = run.embed([DocumentVersion("issue:4201:77", "a hash")], embedder=FakeEmbedder())
    assert result.superseded == ("issue:4201:77",)


def test_documents_of_several_calls_share_one_read_and_one_write_window(start: Start, ledger: Ledger) -> None:
    run = start(f"acme/rocket#{LONG_THREAD}")
    docs = run.up_to_docs()
    embedder = FakeEmbedder()
    windows = run.windows_of(lambda: run.embed(docs.documents, embedder=embedder))
    assert docs.regenerated > CALL_SIZE
    assert len(embedder.calls) == -(-docs.regenerated // CALL_SIZE)
    assert windows == 2
    assert len(embedded_ids(ledger)) == docs.regenerated


@pytest.mark.parametrize(
    ("count", "characters", "windows"),
    [
        (WINDOW_SIZE, 10, 2),
        (WINDOW_SIZE + 1, 10, 4),
        (3, WINDOW_CHARACTERS // 2, 4),
        (2, 2 * WINDOW_CHARACTERS, 4),
    ],
)
def test_a_window_takes_so_many_documents_and_so_much_text(
    start: Start, ledger: Ledger, count: int, characters: int, windows: int
) -> None:
    documents = fill(ledger, count, text="x" * (characters - 200))
    run, embedder = start("acme/rocket#12"), FakeEmbedder()
    assert run.windows_of(lambda: run.embed(documents, embedder=embedder)) == windows
    assert embedded_ids(ledger) == {one.document_id for one in documents}


def test_each_document_is_told_once_however_often_its_window_is_written(start: Start, ledger: Ledger) -> None:
    first, *others = fill(ledger, 2 * CALL_SIZE + 1)
    run = start("acme/rocket#12")
    gone = DocumentVersion("issue:7:0", "a hash")
    run.embed([first], embedder=FakeEmbedder())
    result = run.embed([gone, first, *others], embedder=FakeEmbedder(fails_on_calls=[1]))
    assert (result.reused, result.superseded) == ((first.document_id,), (gone.document_id,))
    assert (len(result.failed), len(result.embedded)) == (CALL_SIZE, CALL_SIZE)
    assert {*result.failed, *result.embedded} == {one.document_id for one in others}
    figures = "documents_embedded, documents_reused, documents_superseded, documents_embed_failed"
    assert query(ledger, f"SELECT {figures} FROM sync_runs") == [(1 + CALL_SIZE, 1, 1, CALL_SIZE)]


def test_a_long_document_gets_a_vector_for_each_chunk(start: Start, rows: Rows) -> None:
    run = start("acme/rocket#12")
    docs = run.up_to_docs()
    run.embed(docs.documents, embedder=FakeEmbedder(max_tokens=40))
    chunks = rows(
        "SELECT chunk_index FROM embeddings WHERE document_id = 'issue:4201:12' ORDER BY chunk_index",
    )
    assert len(chunks) > 1
    assert chunks == [(index,) for index in range(len(chunks))]


def test_a_text_that_comes_back_finds_its_vectors_again_without_a_call(
    start: Start, rows: Rows, sandbox: RunningSandbox
) -> None:
    def title(text: str, embedder: FakeEmbedder) -> tuple[str, ...]:
        sandbox.control.update_issue(12, title=text)
        return start("acme/rocket#12").up_to_embed(embedder).reused

    title("the first text", FakeEmbedder())
    title("another text, while the embedder is dead", FakeEmbedder(fails_on_calls=[1]))
    embedder = FakeEmbedder()
    assert "issue:4201:12" in title("the first text", embedder)
    assert embedder.calls == []
    stale = "SELECT count(*) FROM documents JOIN embeddings USING (document_id) WHERE documents.content_hash <>"
    assert rows(f"{stale} embeddings.content_hash") == [(0,)]


def test_two_documents_of_one_text_share_its_vectors(start: Start, rows: Rows, sandbox: RunningSandbox) -> None:
    start("acme/rocket#12").up_to_embed()
    sandbox.control.add_note(12, "Thanks!")
    sandbox.control.add_note(12, "Thanks!")
    second = start("acme/rocket#12")
    docs, embedder = second.up_to_docs(), FakeEmbedder()
    assert docs.regenerated == 2
    second.embed(docs.documents, embedder=embedder)
    assert [len(texts) for texts in embedder.calls] == [1]
    sandbox.control.add_note(12, "Thanks!")
    third = start("acme/rocket#12")
    docs, embedder = third.up_to_docs(), FakeEmbedder()
    result = third.embed(docs.documents, embedder=embedder)
    assert (result.reused, embedder.calls) == (docs.regenerated_document_ids, [])
    vectors = rows(f"SELECT DISTINCT vector FROM embeddings WHERE {hash_of(docs.documents[0])}")
    assert len(vectors) == 1


def hash_of(version: DocumentVersion) -> str:
    return f"content_hash = '{version.content_hash}'"
