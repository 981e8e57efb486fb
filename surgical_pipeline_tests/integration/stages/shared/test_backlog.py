import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import duckdb
import pytest

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.embedders.protocol import Embedder
from surgical_pipeline.ledger.backlog import UnknownProjectError
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.stages.shared.backlog import BacklogProgress, run_embed_backlog
from surgical_pipeline.stages.shared.vectorizing import CALL_SIZE, WINDOW_SIZE
from surgical_pipeline_tests.integration.ledger.examples import PROJECT
from surgical_pipeline_tests.integration.stages.conftest import Start
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder
from surgical_pipeline_tests.integration.stages.filled_ledger import fill, hanging_backlog
from surgical_pipeline_tests.ledger_dump import content_of, query

EMBEDDED = "SELECT count(DISTINCT document_id) FROM embeddings"
MANY = 2 * WINDOW_SIZE + 10
SHUTTLE = replace(PROJECT, project_id=8, path="acme/shuttle")


def run(ledger: DuckDBLedger, embedder: Embedder, **options: Any) -> BacklogProgress:
    return asyncio.run(run_embed_backlog(ledger, embedder, **{"run_id": "run-b"} | options))


def count(ledger: DuckDBLedger, sql: str = EMBEDDED) -> object:
    return query(ledger.path, sql)[0][0]


def test_every_document_without_a_vector_gets_one_in_batches_with_progress(ledger: DuckDBLedger) -> None:
    fill(ledger, MANY)
    embedder, reports = FakeEmbedder(), list[BacklogProgress]()
    result = run(ledger, embedder, report=reports.append)
    assert (result.total, result.embedded, result.done) == (MANY, MANY, MANY)
    assert [one.done for one in reports] == [0, WINDOW_SIZE, 2 * WINDOW_SIZE, MANY]
    assert max(len(texts) for texts in embedder.calls) == CALL_SIZE
    assert query(ledger.path, "SELECT DISTINCT run_id, model FROM embeddings") == [("run-b", "fake-3")]
    assert count(ledger) == MANY


def test_with_nothing_missing_no_embedder_is_called_and_nothing_written(ledger: DuckDBLedger) -> None:
    fill(ledger, 3)
    run(ledger, FakeEmbedder())
    before, embedder = content_of(ledger.path, with_run_columns=True), FakeEmbedder()
    result = run(ledger, embedder, run_id="run-c")
    assert (result.total, result.done, embedder.calls) == (0, 0, [])
    assert content_of(ledger.path, with_run_columns=True) == before


def test_a_backlog_that_was_killed_lost_what_was_not_written_and_the_next_goes_on(ledger: DuckDBLedger) -> None:
    fill(ledger, MANY)
    with hanging_backlog(ledger, call=2 * WINDOW_SIZE // CALL_SIZE) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    assert count(ledger) == WINDOW_SIZE
    embedder = FakeEmbedder()
    result = run(ledger, embedder)
    assert result.total == sum(map(len, embedder.calls)) == MANY - WINDOW_SIZE
    assert count(ledger) == MANY


def test_a_window_that_was_committed_while_the_job_was_stopped_is_in_the_last_report(ledger: DuckDBLedger) -> None:
    class Stopped(DuckDBLedger):
        """Cancels the task that waits for a write window, while that is open."""

        @contextmanager
        def write(self, purpose: str, *, cancelled: threading.Event | None = None) -> Iterator[DuckDBTransaction]:
            assert cancelled is not None
            with super().write(purpose, cancelled=cancelled) as tx:
                yield tx
                loop.call_soon_threadsafe(task.cancel)
                assert cancelled.wait(20)

    loop: asyncio.AbstractEventLoop
    task: asyncio.Future[BacklogProgress]

    async def stop_it() -> None:
        nonlocal loop, task
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(
            run_embed_backlog(Stopped(ledger.path), FakeEmbedder(), run_id="run-b", report=reports.append)
        )
        with pytest.raises(asyncio.CancelledError):
            await task

    reports = list[BacklogProgress]()
    fill(ledger, MANY)
    asyncio.run(stop_it())
    assert [one.embedded for one in reports] == [0, WINDOW_SIZE]
    assert count(ledger) == WINDOW_SIZE


def test_a_window_that_was_rolled_back_counts_nothing(ledger: DuckDBLedger) -> None:
    class Broken(DuckDBLedger):
        @contextmanager
        def write(self, purpose: str, *, cancelled: threading.Event | None = None) -> Iterator[DuckDBTransaction]:
            with super().write(purpose, cancelled=cancelled) as tx:
                yield tx
                raise OSError("the disk is gone")

    fill(ledger, 3)
    reports = list[BacklogProgress]()
    with pytest.raises(OSError, match="disk"):
        run(Broken(ledger.path), FakeEmbedder(), report=reports.append)
    assert [one.embedded for one in reports] == [0]
    assert count(ledger) == 0


def test_another_model_is_a_backlog_and_no_migration(ledger: DuckDBLedger) -> None:
    fill(ledger, 3)
    run(ledger, FakeEmbedder())
    result = run(ledger, FakeEmbedder(name="other-3"))
    assert result.embedded == 3
    assert query(ledger.path, "SELECT model, count(*) FROM embeddings GROUP BY ALL ORDER BY 1") == [
        ("fake-3", 3),
        ("other-3", 3),
    ]


def test_a_surgical_run_with_another_model_leaves_what_is_unchanged_to_the_backlog(
    start: Start, ledger: DuckDBLedger
) -> None:
    start("acme/rocket#12").up_to_embed()
    other = FakeEmbedder(name="other-3")
    start("acme/rocket#12").up_to_embed(other)
    assert other.calls == []
    assert run(ledger, other).embedded == count(ledger) == count(ledger, "SELECT count(*) FROM documents")


def test_pruning_drops_the_vectors_of_other_models_once_these_are_there(ledger: DuckDBLedger) -> None:
    fill(ledger, 3)
    run(ledger, FakeEmbedder())
    result = run(ledger, FakeEmbedder(name="other-3", refuses="#2"), prune=True)
    assert (result.pruned, [one.document_id for one in result.failed]) == (2, ["issue:7:2"])
    assert query(ledger.path, "SELECT document_id, model FROM embeddings ORDER BY 1") == [
        ("issue:7:1", "other-3"),
        ("issue:7:2", "fake-3"),
        ("issue:7:3", "other-3"),
    ]


def test_one_project_alone_is_embedded_and_pruned(ledger: DuckDBLedger) -> None:
    for project in (PROJECT, SHUTTLE):
        fill(ledger, 2, project=project)
    run(ledger, FakeEmbedder())
    result = run(ledger, FakeEmbedder(name="other-3"), project="acme/shuttle", prune=True)
    assert (result.total, result.embedded, result.pruned) == (2, 2, 2)
    assert query(ledger.path, "SELECT document_id, model FROM embeddings ORDER BY 1") == [
        ("issue:7:1", "fake-3"),
        ("issue:7:2", "fake-3"),
        ("issue:8:1", "other-3"),
        ("issue:8:2", "other-3"),
    ]


def test_a_project_that_the_ledger_does_not_have_is_named(ledger: DuckDBLedger) -> None:
    fill(ledger, 1)
    with pytest.raises(UnknownProjectError, match="acme/nowhere"):
        run(ledger, FakeEmbedder(), project="acme/nowhere")


def test_a_dead_embedder_ends_it_and_what_was_done_stays(ledger: DuckDBLedger) -> None:
    fill(ledger, 150)
    embedder = FakeEmbedder(fails_on_calls=[2, 3])
    result = run(ledger, embedder, prune=True)
    assert result.ended_by is not None
    assert result.ended_by.code is FailureCode.EMBEDDER_ERROR
    assert (result.embedded, result.failed, len(embedder.calls)) == (CALL_SIZE, (), 2)
    assert count(ledger) == CALL_SIZE


def test_an_embedder_that_is_dead_from_the_first_call_costs_nobody_a_turn_at_the_lock(
    ledger: DuckDBLedger,
) -> None:
    fill(ledger, 3)
    reports, own = list[BacklogProgress](), DuckDBLedger(ledger.path)
    result = run(own, FakeEmbedder(fails_on_calls=[1]), report=reports.append)
    assert result.ended_by is not None
    assert reports[-1] == result
    assert own.stats.windows == 2, "one that counts and one that reads"


def test_a_refused_text_fails_its_document_and_is_tried_once(ledger: DuckDBLedger) -> None:
    fill(ledger, 100)
    embedder = FakeEmbedder(refuses="Pump #50")
    result = run(ledger, embedder)
    assert [one.document_id for one in result.failed] == ["issue:7:50"]
    assert (result.embedded, result.done, result.ended_by) == (99, 100, None)
    assert sum(any("Pump #50\n" in text for text in texts) and len(texts) == 1 for texts in embedder.calls) == 1


def test_a_document_that_changes_while_it_is_embedded_is_superseded(ledger: DuckDBLedger) -> None:
    class Overtaken(FakeEmbedder):
        def embed(self, texts: Any) -> Any:
            if not self.calls:
                with duckdb.connect(str(ledger.path)) as connection:
                    connection.execute("UPDATE documents SET content_hash = 'newer' WHERE iid = 2")
            return super().embed(texts)

    fill(ledger, 3)
    result = run(ledger, Overtaken())
    assert (result.embedded, result.superseded) == (2, 1)
    assert query(ledger.path, "SELECT DISTINCT document_id FROM embeddings ORDER BY 1") == [
        ("issue:7:1",),
        ("issue:7:3",),
    ]


def test_a_backlog_leaves_no_row_of_a_run(ledger: DuckDBLedger) -> None:
    fill(ledger, 3)
    run(ledger, FakeEmbedder())
    assert count(ledger, "SELECT count(*) FROM sync_runs") == 0
    assert count(ledger, "SELECT count(*) FROM entity_outcomes") == 0
