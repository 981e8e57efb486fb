"""A ledger full of documents that nobody embedded, made without GitLab; and a backlog to kill."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from surgical_pipeline.documents.text import EntityText, entity_document
from surgical_pipeline.domain.records import DocumentVersion, ProjectRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.documents import EntityDocuments, load_sources, write_documents
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.stages.shared.backlog import run_embed_backlog
from surgical_pipeline_tests.integration.ledger.examples import NOON, PROJECT, entity
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder
from surgical_pipeline_tests.surroundings import REPOSITORY

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors


def fill(
    ledger: Ledger, count: int, *, text: str = "a text", project: ProjectRecord = PROJECT
) -> list[DocumentVersion]:
    """Issues 1 to ``count`` with a document each, which are given back; ``text`` stands in all of them."""
    keys = [EntityKey(EntityType.ISSUE, iid) for iid in range(1, count + 1)]
    with ledger.write("fill") as tx:
        upsert_project(tx, "run-0", project, NOON)
        upsert_entities(tx, "run-0", [entity(key, project_id=project.project_id) for key in keys])
        batch = []
        for source in load_sources(tx, project.project_id, keys):
            blank = EntityText(project.path, source.key, project.project_id, f"Pump {source.key}", "opened")
            document = entity_document(replace(blank, description=f"{text} {source.key}"))
            batch.append(EntityDocuments(source.key, source.version, (document,)))
        assert not write_documents(tx, "run-0", project.project_id, batch)
    return [document.version for one in batch for document in one.regenerated]


class HangingEmbedder(FakeEmbedder):
    """Says ``hanging`` on stdout at its ``call``-th call, and waits there until stdin is closed."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self._hangs_at = call

    def embed(self, texts: Sequence[str]) -> "Vectors":
        if len(self.calls) + 1 == self._hangs_at:
            print("hanging", flush=True)  # noqa: T201  the test reads it
            sys.stdin.read()
        return super().embed(texts)


@contextmanager
def hanging_backlog(ledger: DuckDBLedger, call: int) -> Iterator[subprocess.Popen[str]]:
    """A backlog in another process, once it hangs in that call of its embedder; killed at the end."""
    command = [sys.executable, "-m", __name__, str(ledger.path), str(call)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "hanging\n"
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(
        run_embed_backlog(DuckDBLedger(Path(sys.argv[1])), HangingEmbedder(int(sys.argv[2])), run_id="run-killed")
    )
