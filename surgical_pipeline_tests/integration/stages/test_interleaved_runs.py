"""Several runs interleaved over one real ledger: docs and embed stay in step whatever the order."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.handover import EmbedResult, GenerateDocsResult, Sources
from surgical_pipeline.domain.records import EntityRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.embedders.protocol import checked
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.stages.docs import run_generate_docs_for_sources
from surgical_pipeline.stages.embed import run_embed_for_document_ids
from surgical_pipeline_tests.integration.ledger.examples import NOON, PROJECT, entity, start
from surgical_pipeline_tests.ledger_dump import query

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors

KEYS = tuple(EntityKey(EntityType.ISSUE, iid) for iid in (1, 2, 3))
TEXTS = ("one", "two", "three")
RUNS = 3

Vector = tuple[float, ...]


def vector_of(text: str) -> Vector:
    """Another for each text, so that a vector of an older one is seen."""
    number = next(place for place, name in enumerate(TEXTS, 1) if f"the text is {name}" in text)
    return (1.0, float(number), float(len(text)))


class OvertakenEmbedder:
    """While it computes, ``meanwhile`` happens, once; ``texts`` is what it was given."""

    name = "fake-3"
    dimension = 3
    max_tokens = 400

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile
        self.texts: list[str] = []

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def embed(self, texts: Sequence[str]) -> "Vectors":
        first, self.texts = not self.texts, [*self.texts, *texts]
        if first:
            self._meanwhile()
        return checked([vector_of(text) for text in texts], texts, self.dimension)


@dataclass(frozen=True)
class Change:
    """GitLab has a newer text of an issue, and some run ingests it."""

    key: EntityKey
    text: str


@dataclass(frozen=True)
class Docs:
    run: int
    keys: tuple[EntityKey, ...]


@dataclass(frozen=True)
class Embed:
    """``meanwhile``: what others do while the embedder computes."""

    run: int
    meanwhile: tuple["Change | Docs", ...] = ()


changes = st.builds(Change, st.sampled_from(KEYS), st.sampled_from(TEXTS))
docs = st.builds(
    Docs, st.integers(0, RUNS - 1), st.lists(st.sampled_from(KEYS), min_size=1, unique=True).map(tuple)
)
embeds = st.builds(Embed, st.integers(0, RUNS - 1), st.lists(changes | docs, max_size=3).map(tuple) | st.just(()))
histories = st.lists(changes | docs | embeds, min_size=3, max_size=9)

OVERTAKEN = [
    Change(KEYS[0], "two"),
    Docs(1, KEYS[:1]),
    Embed(1, (Change(KEYS[0], "three"), Docs(2, KEYS[:1]))),
    Embed(2),
]


@dataclass
class World:
    ledger: DuckDBLedger
    runs: list[SyncRunRecorder]
    seconds: int = 0
    regenerated: dict[int, GenerateDocsResult] = field(default_factory=dict)

    def do(self, step: Change | Docs | Embed) -> None:
        if isinstance(step, Change):
            self.change(step)
        elif isinstance(step, Docs):
            self.generate(step)
        else:
            self.embed(step)

    def change(self, step: Change) -> None:
        self.seconds += 1
        with self.ledger.write("change") as tx:
            upsert_entities(tx, "somebody", [issue(step.key, step.text, seconds=self.seconds)])

    def generate(self, step: Docs) -> None:
        sources = Sources(7, "acme/rocket", step.keys)
        result = asyncio.run(run_generate_docs_for_sources(sources, run=self.runs[step.run]))
        self.regenerated[step.run] = result

    def embed(self, step: Embed) -> None:
        if step.run not in self.regenerated:
            return
        mine = self.regenerated[step.run].documents
        before = self.rows()
        meanwhile = [self.rows()]

        def others() -> None:
            for one in step.meanwhile:
                self.do(one)
            meanwhile[0] = self.rows()

        embedder = OvertakenEmbedder(others)
        work = run_embed_for_document_ids(
            mine, embedder=embedder, run=self.runs[step.run], budgets=Budgets(embed_budget_seconds=60)
        )
        result = asyncio.run(work)
        self.check(result, {one.document_id: one.content_hash for one in mine}, embedder, before=before)
        assert self.rows_but(mine_ids := set(result.embedded) | set(result.reused)) == {
            one: row for one, row in meanwhile[0].items() if one not in mine_ids
        }

    def check(
        self, result: EmbedResult, mine: dict[str, str], embedder: OvertakenEmbedder, *, before: dict[str, str]
    ) -> None:
        texts = self.texts()
        parts = [*result.embedded, *result.reused, *result.superseded, *result.failed]
        assert sorted(parts) == sorted(mine)
        assert result.failed == ()
        current = {one for one, content_hash in mine.items() if texts[one][0] == content_hash}
        assert set(result.superseded) == set(mine) - current
        rows = self.rows()
        assert all(rows[one] == mine[one] for one in current)
        already = {one for one, content_hash in mine.items() if before.get(one) == content_hash}
        assert len(embedder.texts) <= len(mine) - len(already)
        assert already & current <= set(result.reused)

    def rows(self) -> dict[str, str]:
        """The hash that each document's vectors are of; every vector is that of the text of its hash."""
        found = query(self.ledger.path, "SELECT document_id, content_hash, vector FROM embeddings")
        texts = self.texts()
        for document_id, content_hash, vector in found:
            if texts[str(document_id)][0] == content_hash:
                expected = checked([vector_of(texts[str(document_id)][1])], ["one"], 3)[0]
                assert vector == pytest.approx(tuple(map(float, expected)), rel=1e-6)
        return {str(document_id): str(content_hash) for document_id, content_hash, _ in found}

    def rows_but(self, ids: set[str]) -> dict[str, str]:
        return {one: row for one, row in self.rows().items() if one not in ids}

    def texts(self) -> dict[str, tuple[str, str]]:
        """Hash and text of each document."""
        found = query(
            self.ledger.path,
            "SELECT document_id, content_hash, title || chr(10) || chr(10) || content FROM documents",
        )
        return {str(one): (str(content_hash), str(text)) for one, content_hash, text in found}


def issue(key: EntityKey, text: str, *, seconds: int) -> EntityRecord:
    """The issue with that text, as it was fetched so many seconds after noon."""
    payload = {"id": key.iid, "iid": key.iid, "title": f"Pump {key.iid}", "state": "opened"}
    payload["description"] = f"the text is {text}."
    return replace(entity(key, updated=seconds, fetched=seconds), payload=json.dumps(payload))


@pytest.fixture(scope="module")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GenerateDocsResult]:
    """A ledger of three issues and three running runs; the first one made and embedded all documents."""
    path = tmp_path_factory.mktemp("beginning") / "ledger.duckdb"
    ledger = DuckDBLedger(path)
    for number in range(RUNS):
        start(ledger, f"run-{number}", "acme/rocket#1-3")
    with ledger.write("fill") as tx:
        upsert_project(tx, "somebody", PROJECT, NOON)
        upsert_entities(tx, "somebody", [issue(key, "one", seconds=0) for key in KEYS])
    world = World(ledger, [SyncRunRecorder(ledger, "run-0")])
    world.do(Docs(0, KEYS))
    world.do(Embed(0))
    return path, world.regenerated[0]


@settings(
    max_examples=25,
    deadline=None,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(histories)
@example(OVERTAKEN)
def test_each_run_embeds_exactly_its_documents_and_never_the_text_of_before(
    beginning: tuple[Path, GenerateDocsResult], history: list[Change | Docs | Embed]
) -> None:
    path, regenerated = beginning
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", ".wal"):
            if (source := path.with_name(path.name + suffix)).exists():
                shutil.copyfile(source, Path(folder, source.name))
        ledger = DuckDBLedger(Path(folder, path.name))
        recorders = list(map(partial(SyncRunRecorder, ledger), (f"run-{number}" for number in range(RUNS))))
        world = World(ledger, recorders, regenerated={0: regenerated})
        for step in history:
            world.do(step)
