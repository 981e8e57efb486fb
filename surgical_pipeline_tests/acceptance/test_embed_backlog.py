"""The job `embed_backlog`, from Dagster and from the command line, over documents that another model embedded."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.integration.embedders.embedding_server import refusing, running_server
from surgical_pipeline_tests.integration.ledger.examples import PROJECT
from surgical_pipeline_tests.integration.stages.filled_ledger import fill
from surgical_pipeline_tests.ledger_dump import query

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
MODELS = "SELECT model, count(DISTINCT document_id) FROM embeddings GROUP BY ALL ORDER BY 1"


@pytest.fixture
def filled(ledger: DuckDBLedger) -> Path:
    """A ledger of 70 documents, more than one call of the embedder takes, that nobody embedded."""
    fill(ledger, 70)
    return ledger.path


def backlog(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "embed-backlog", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_job_embeds_what_is_missing_and_stamps_it_with_its_run(filled: Path) -> None:
    job = defs.resolve_job_def("embed_backlog")
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(instance=instance)
    assert query(filled, "SELECT model, run_id, count(*) FROM embeddings GROUP BY ALL") == [
        ("wordllama-256", result.run_id, 70)
    ]
    assert query(filled, "SELECT count(*) FROM sync_runs") == [(0,)]
    (output,) = [event for event in result.all_node_events if event.event_type_value == "STEP_OUTPUT"]
    metadata = output.step_output_data.metadata
    assert (metadata["model"].value, metadata["embedded"].value) == ("wordllama-256", 70)


def test_the_command_prints_one_document_and_its_run_is_dagsters(filled: Path) -> None:
    done = backlog("--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["total"], report["embedded"], report["remaining"], report["error"]) == (70, 70, 0, None)
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(report["run_id"])
    assert run is not None
    assert (run.job_name, run.status) == ("embed_backlog", dg.DagsterRunStatus.SUCCESS)
    assert query(filled, "SELECT DISTINCT run_id FROM embeddings") == [(report["run_id"],)]


def test_a_change_of_the_model_is_made_good_and_the_old_vectors_dropped(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backlog().returncode == 0
    monkeypatch.setenv("SURGICAL_EMBEDDER", "http")
    monkeypatch.setenv("SURGICAL_EMBEDDER_MODEL", "nomic")
    with running_server() as server:
        monkeypatch.setenv("SURGICAL_EMBEDDER_URL", server.url)
        server.always = refusing("Pump #50")
        done = backlog("--project", "acme/rocket", "--prune")
    assert done.returncode == 3, done.stderr
    assert "issue:7:50" in done.stdout
    assert "dropped from 69" in done.stdout
    assert query(filled, MODELS) == [("http:nomic", 69), ("wordllama-256", 1)]


def test_a_dead_embedder_fails_the_run_and_says_what_to_do(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGICAL_EMBEDDER", "http")
    monkeypatch.setenv("SURGICAL_EMBEDDER_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("SURGICAL_EMBEDDER_MODEL", "nobody-home")
    done = backlog("--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["embedded"], report["remaining"]) == (1, 0, 70)
    assert report["error"].startswith("EMBEDDER_ERROR: the embedder at http://127.0.0.1:9/v1/embeddings cannot")
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(report["run_id"])
    assert run is not None
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert query(filled, MODELS) == []


def test_a_sync_leaves_the_backlog_alone(ledger: DuckDBLedger, sync: Sync) -> None:
    fill(ledger, 3, project=replace(PROJECT, path="acme/elsewhere"))
    result = sync("acme/rocket#12")
    embedded = query(ledger.path, "SELECT DISTINCT document_id FROM embeddings")
    assert {one for (one,) in embedded} == set(result.entity_outcomes[0].regenerated_document_ids)
    assert query(ledger.path, "SELECT count(*) FROM documents WHERE project_id = 7") == [(3,)]


def test_a_project_that_the_ledger_does_not_have_is_wrong_usage(filled: Path) -> None:
    done = backlog("--project", "acme/nowhere", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no project 'acme/nowhere'" in done.stderr
    assert query(filled, MODELS) == []


def test_without_a_ledger_there_is_nothing_to_embed(home: Path) -> None:
    done = backlog()
    assert (done.returncode, done.stdout) == (1, "")
    assert "the first sync makes it" in done.stderr
    assert not (home / "ledger.duckdb").exists()


def test_ctrl_c_keeps_the_batches_that_were_done_and_says_that_it_was_stopped(ledger: DuckDBLedger) -> None:
    fill(ledger, 6000)
    with subprocess.Popen([PROGRAM, "embed-backlog", "--json"], stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: stopped_after_the_first_vector(ledger, process))
        output, _ = process.communicate(timeout=60)
    report = json.loads(output)
    assert (process.returncode, report["error"]) == (130, "CANCELLED: it was told to stop")
    assert 0 < report["embedded"] < 6000
    assert report["remaining"] == 6000 - report["embedded"]
    (done,) = query(ledger.path, "SELECT count(DISTINCT document_id) FROM embeddings")
    assert done[0] == report["embedded"]


def stopped_after_the_first_vector(ledger: DuckDBLedger, process: subprocess.Popen[str]) -> bool:
    """Told to stop in a window of ours, in which it can write no more; the lock gives every waiter its turn."""
    with ledger.read() as tx:
        begun = bool(tx._connection.execute("SELECT 1 FROM embeddings LIMIT 1").fetchall())
        if begun:
            process.send_signal(signal.SIGINT)
    return begun


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
