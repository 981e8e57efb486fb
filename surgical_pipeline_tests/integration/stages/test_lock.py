"""The lock is held only while the ledger is read or written; whatever else a stage does, others may have it."""

import fcntl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.ledger.documents import EntitySource
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.stages import docs
from surgical_pipeline.stages.shared.rendering import documents_of
from surgical_pipeline_tests.integration.stages.conftest import Start
from surgical_pipeline_tests.integration.stages.fake_embedder import FakeEmbedder

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors


def is_free(ledger: DuckDBLedger) -> bool:
    """Whether nobody holds the lock, not even to read."""
    with Path(f"{ledger.path}.lock").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_the_ledger_is_free_while_documents_are_rendered(
    start: Start, ledger: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watched(source: EntitySource) -> list[DocumentRecord]:
        free.append(is_free(ledger))
        return list(documents_of(source))

    free: list[bool] = []
    monkeypatch.setattr(docs, "documents_of", watched)
    start("acme/rocket#12!34").up_to_docs()
    assert free == [True, True]


def test_the_ledger_is_free_while_texts_are_cut_and_embedded(start: Start, ledger: DuckDBLedger) -> None:
    class Watched(FakeEmbedder):
        def count_tokens(self, text: str) -> int:
            free.append(is_free(ledger))
            return super().count_tokens(text)

        def embed(self, texts: Sequence[str]) -> "Vectors":
            free.append(is_free(ledger))
            return super().embed(texts)

    free: list[bool] = []
    start("acme/rocket#12!34").up_to_embed(Watched())
    assert len(free) > 1
    assert all(free)
