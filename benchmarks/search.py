"""Milliseconds of a search in 1,000, 10,000 and 100,000 documents, and how well questions find their answers.

Latencies are medians, in milliseconds by the clock and of processor time, which others on the machine do not
lengthen; beside them those of a search by words alone and of a bare read window (take the lock, open, close). The
quality tables are those of the acceptance test.
"""

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.duckdb.transaction import DuckDBTransaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.search import Filters, QuestionVector, search
from surgical_pipeline.ledger.search_index import index_documents
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.search.question import Question
from surgical_pipeline_tests.acceptance.search_quality import (
    HELD_OUT_QUERIES,
    QUERIES,
    measure,
    sample_scope,
    table,
)

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 7
WORDS_IN_A_DOCUMENT = 120
DIMENSION = 256
QUESTIONS = {
    "common words": "telemetry valve pressure channel",
    "rare words": "hydrogen forklift drogue",
    "an identifier": "E_TIMEOUT_42",
    "a reference": "#500",
}

DOCUMENTS = """
INSERT INTO documents
SELECT
    'issue:7:' || number, 'issue', 7, 'issue', number, NULL, content[:60], content, 'hash',
    'https://gitlab.test/' || number, 'opened', ['bug'], 'ada', FALSE, FALSE, now(), now(), NULL, 'run'
FROM (
    SELECT number, string_agg(vocabulary.word, ' ' ORDER BY place) AS content
    FROM (
        SELECT number, place, (len($words) * random() * random() * random())::INTEGER % len($words) + 1 AS chosen
        FROM range(1, $documents + 1) AS documents(number), range($length) AS places(place)
    ) AS drawn
    JOIN (SELECT unnest($words) AS word, unnest(range(1, len($words) + 1)) AS chosen) AS vocabulary USING (chosen)
    GROUP BY number
) AS written
"""
VECTORS = """
INSERT INTO embeddings
SELECT 'issue:7:' || number, 0, $model, 'hash', $dimension, list(random() - 0.5)::FLOAT[], now(), 'run'
FROM range(1, $documents + 1) AS documents(number), range($dimension) AS places(place)
GROUP BY number
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    sizes = parser.parse_args().sizes
    embedder = WordLlamaEmbedder()
    embedder.embed(["warm"])
    with tempfile.TemporaryDirectory() as folder:
        print("| documents | question | search ms | processor ms | by words only ms | bare window ms |")
        print("|---:|---|---:|---:|---:|---:|")
        for size in sizes:
            latency(Path(folder), size, embedder)
        print()
        quality(Path(folder), embedder)


def latency(folder: Path, size: int, embedder: WordLlamaEmbedder) -> None:
    ledger = DuckDBLedger(folder / f"{size}.duckdb")
    with ledger.write("make"):
        pass
    fill(ledger.path, size, embedder.name)
    bare, _ = median_ms(lambda: look(ledger))
    for name, text in QUESTIONS.items():
        both, processor = median_ms(lambda text=text: ask(ledger, text, embedder))  # type: ignore[misc]
        words, _ = median_ms(lambda text=text: ask(ledger, text, None))  # type: ignore[misc]
        print(f"| {size:,} | {name} | {both:.0f} | {processor:.0f} | {words:.0f} | {bare:.0f} |", flush=True)


def fill(path: Path, size: int, model: str) -> None:
    """Texts of the sample's own words, rare ones rare; vectors of noise, which cost the same to compare."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute("""
            INSERT INTO projects (project_id, path, run_id, fetched_at, payload)
            VALUES (7, 'acme/rocket', 'run', now(), '{}')""")
        words = {"words": vocabulary(), "documents": size}
        connection.execute(DOCUMENTS, words | {"length": WORDS_IN_A_DOCUMENT})
        connection.execute(VECTORS, {"model": model, "dimension": DIMENSION, "documents": size})
        ids = [row[0] for row in connection.execute("SELECT document_id FROM documents").fetchall()]
        index_documents(DuckDBTransaction(connection, path, now=utc_now()), ids)
        connection.execute("CHECKPOINT")


def vocabulary() -> list[str]:
    """The sample's words, the most frequent first, then as many invented ones."""
    counts: dict[str, int] = {}
    for entity in build_sample().entities.values():
        for word in str(entity.payload["description"])[:5_000].split():
            counts[word] = counts.get(word, 0) + 1
    spoken = sorted(counts, key=lambda word: (-counts[word], word))
    choice = random.Random("invented")
    return [*spoken, *(f"{choice.randrange(16**8):08x}" for _ in spoken)]


def look(ledger: DuckDBLedger) -> None:
    with ledger.read("bare"):
        pass


def ask(ledger: DuckDBLedger, text: str, embedder: WordLlamaEmbedder | None) -> None:
    question = Question.of(text)
    vector = QuestionVector(embedder.name, embedder.embed([text])[0]) if embedder else None
    with ledger.read("search") as tx:
        search(tx, question, vector=vector, filters=Filters(), limit=10)


def median_ms(work: Callable[[], None]) -> tuple[float, float]:
    """By the clock, and of processor time."""
    work()
    taken, worked = [], []
    for _ in range(ROUNDS):
        started, busy = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - started) * 1000)
        worked.append((time.process_time() - busy) * 1000)
    return statistics.median(taken), statistics.median(worked)


def quality(folder: Path, embedder: WordLlamaEmbedder) -> None:
    from surgical_pipeline.defs.launch import launch  # noqa: PLC0415  DAGSTER_HOME must be set first

    scope, titles = sample_scope()
    ledger = DuckDBLedger(folder / "quality.duckdb")
    with RunningSandbox() as sandbox:
        os.environ |= {
            "DAGSTER_HOME": str(folder),
            "SURGICAL_LEDGER": str(ledger.path),
            "GITLAB_URL": sandbox.url,
            "GITLAB_TOKEN": sandbox.token,
        }
        (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        launch(Scope.parse(scope), budgets=Budgets(), dependents=CORE_DEPENDENTS, ledger=ledger)
    for queries in (QUERIES, HELD_OUT_QUERIES):
        print(f"\n{queries.stem}\n")
        print(table(measure(ledger, embedder, titles, queries=queries)))


if __name__ == "__main__":
    main()
