"""An embedding server in a process of its own that dies, refuses and comes back; the real job, and `retry`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.integration.embedders.embedding_server import server_process
from surgical_pipeline_tests.ledger_dump import query

pytestmark = pytest.mark.both_ledgers

LACKING = (
    "SELECT document_id FROM documents WHERE document_id NOT IN (SELECT document_id FROM embeddings) "
    "ORDER BY document_id"
)


@pytest.fixture(autouse=True)
def model(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  which empties the environment
    monkeypatch.setenv("SURGICAL_EMBEDDER", "http")
    monkeypatch.setenv("SURGICAL_EMBEDDER_MODEL", "nomic")


def retry(run_id: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["retry", run_id, "--json"])
    assert done.exit_code == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def failed_documents(result: SyncResult) -> list[str]:
    assert result.completion_status == "succeeded_with_warnings"
    assert {(one.code, one.stage) for one in result.entity_failures} == {(FailureCode.EMBEDDER_ERROR, "embed")}
    return sorted(str(one.dependent) for one in result.entity_failures)


def lacking(ledger: Ledger) -> list[str]:
    return [str(document_id) for (document_id,) in query(ledger, LACKING)]


def chunks_written(ledger: Ledger, document: dict[str, Any]) -> dict[str, int]:
    """How many vectors the retry wrote, by document."""
    counted = "SELECT document_id, count(*) FROM embeddings WHERE run_id = '{}' GROUP BY document_id"
    found = query(ledger, counted.format(document["result"]["run_id"]))
    return {str(document_id): int(str(chunks)) for document_id, chunks in found}


def test_what_a_server_that_died_could_not_embed_is_listed_and_a_retry_embeds_just_that(
    sync: Sync, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_process() as server:
        monkeypatch.setenv("SURGICAL_EMBEDDER_URL", server.url)
        assert sync("acme/rocket#12").completion_status == "succeeded"
        assert server.kill()
    dead = sync("acme/rocket#12-13!34")
    failed = failed_documents(dead)
    assert failed == lacking(ledger)
    by_entity = {one.entity: one for one in dead.entity_outcomes}
    assert all(one.ingested and one.failure is None for one in by_entity.values())
    assert by_entity["acme/rocket#12"].regenerated_document_ids == ()
    assert failed == sorted(
        document_id for one in by_entity.values() for document_id in one.regenerated_document_ids
    )
    with server_process(server.port) as server:
        document = retry(dead.run_id)
        texts = server.kill()
    assert document["scope"] == "acme/rocket#13!34"
    assert document["result"]["completion_status"] == "succeeded"
    embedded = [one for entity in document["result"]["entity_outcomes"] for one in entity["embedded_document_ids"]]
    assert sorted(embedded) == failed
    assert len(texts) == sum(chunks_written(ledger, document).values())
    assert lacking(ledger) == []


def test_a_retry_embeds_the_one_document_that_was_refused_and_none_of_its_entitys_others(
    sync: Sync, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_process(refuses="Issue acme/rocket#12\n") as server:
        monkeypatch.setenv("SURGICAL_EMBEDDER_URL", server.url)
        refused = sync("acme/rocket#12")
        server.kill()
    assert failed_documents(refused) == lacking(ledger) == ["issue:4201:12"]
    assert refused.counters.documents_embedded > 0
    with server_process(server.port) as server:
        document = retry(refused.run_id)
        texts = server.kill()
    assert document["result"]["counters"]["documents_regenerated"] == 1
    assert chunks_written(ledger, document) == {"issue:4201:12": len(texts)}
    assert lacking(ledger) == []
