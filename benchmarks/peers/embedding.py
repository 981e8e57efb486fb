"""Embedding and search beside what a user would take instead: sentence-transformers' MiniLM, and bm25s.

`python -m benchmarks.peers.embedding [--texts 2000]`: the same texts and questions for all, of the sample's words.
How well answers fit is measured elsewhere (`benchmarks.search`).
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from benchmarks.peers.environments import REPOSITORY, NotToBeHadError, program
from benchmarks.peers.measuring import Spread, Taken, alternating, measured, must_succeed, spread
from benchmarks.peers.options import Options, run_alone
from benchmarks.peers.results import Contest, Floor, Section
from benchmarks.search import DIMENSION, QUESTIONS, ask, fill, look
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger

OURS, MINILM, BM25 = "ours", "MiniLM and DuckDB", "bm25s"
HEAD = ("tool", "texts", "texts embedded per s", "search, median ms", "processor s", "peak MB")
QUERIES = list(QUESTIONS.values())
FLOORS = {"embedding_seconds": "tokens_seconds", "search_ms": "vectors_ms"}
"""Of each figure, what our side tells of what nobody can do without."""
PARTS = ("window_ms", "words_ms", *FLOORS.values())
NEAREST = f"""
SELECT document_id FROM embeddings
ORDER BY array_cosine_similarity(vector::FLOAT[{DIMENSION}], $query::FLOAT[{DIMENSION}]) DESC
LIMIT 10
"""


def section(options: Options) -> Section:
    found = Section(
        "Embedding and search",
        f"The same texts for all. Ours searches the ledger by words and by meaning ({DIMENSION} dimensions) in a "
        "read window; MiniLM by meaning alone (384 dimensions), DuckDB comparing with every vector; bm25s by "
        "words alone, in memory. A search includes embedding the question. The floor of embedding is to cut the "
        "texts into tokens, that of a search DuckDB comparing one vector with all in an open file.",
        HEAD,
    )
    with tempfile.TemporaryDirectory() as folder:
        ledger, texts = prepare(Path(folder), options.texts)
        tools = {OURS: _tool([sys.executable, "-m", "benchmarks.peers.embedding", "ours", str(ledger)], texts)}
        for name, of, file in ((MINILM, "minilm", "minilm_search"), (BM25, "main", "bm25_search")):
            try:
                tools[name] = _tool(program(file, of=of), texts)
            except NotToBeHadError as error:
                found.notes.append(f"{name} is not to be had on this machine: {error}")
        taken = alternating(tools, rounds=options.rounds)
    for name, rounds in taken.items():
        embeds = "embedding_seconds" in rounds[0].told
        rate = spread(rounds, lambda one: options.texts / one.told["embedding_seconds"]) if embeds else "-"
        found.rows.append(
            [
                name,
                f"{options.texts:,}",
                str(rate),
                str(spread(rounds, lambda one: one.told["search_ms"])),
                str(spread(rounds, lambda one: one.cpu_seconds)),
                str(spread(rounds, lambda one: one.peak_mb)),
            ]
        )
    _compare(found, taken, options.texts)
    return found


def _compare(found: Section, taken: dict[str, list[Taken]], texts: int) -> None:
    figures = {
        "embedding_seconds": f"embedding {texts:,} texts, s",
        "search_ms": f"a search in {texts:,} texts, ms",
    }
    parts = {key: spread(taken[OURS], lambda one, key=key: one.told[key]) for key in PARTS}  # type: ignore[misc]
    for key, what in figures.items():
        mine = spread(taken[OURS], lambda one, key=key: one.told[key])  # type: ignore[misc]
        found.floors.append(Floor(what, mine, parts[FLOORS[key]].median))
        for name, rounds in taken.items():
            if name != OURS and key in rounds[0].told:
                theirs = spread(rounds, lambda one, key=key: one.told[key])  # type: ignore[misc]
                found.contests.append(Contest(what, name, mine, theirs, why=_why(parts, rounds)))


def _why(parts: dict[str, Spread], rounds: list[Taken]) -> str:
    indexed = [one.told["indexing_seconds"] for one in rounds if "indexing_seconds" in one.told]
    before = f", after {Spread.of(indexed)} s of indexing that a new process repeats" if indexed else ""
    return (
        f"of a search of ours, taking the lock, opening and closing the file take {parts['window_ms']} ms, and a "
        f"search by words alone with it {parts['words_ms']}; the other has its data in memory{before}"
    )


def prepare(folder: Path, number: int) -> tuple[Path, Path]:
    """A ledger with so many documents and vectors, and its texts with the questions as a JSON file."""
    ledger = DuckDBLedger(folder / "ledger.duckdb")
    with ledger.write("make"):
        pass
    fill(ledger.path, number, WordLlamaEmbedder.name)
    with duckdb.connect(str(ledger.path), read_only=True) as connection:
        rows = connection.execute("SELECT content FROM documents ORDER BY document_id").fetchall()
    given = folder / "texts.json"
    given.write_text(json.dumps({"texts": [text for (text,) in rows], "queries": QUERIES}), encoding="utf-8")
    return ledger.path, given


def _tool(command: list[str], texts: Path) -> Callable[[int], Taken]:
    def run(_number: int) -> Taken:
        return must_succeed(measured([*command, texts], cwd=REPOSITORY, environment={}), command[1])

    return run


def ours(ledger: Path, texts: Path) -> None:
    """Our side, in a process of its own."""
    given = json.loads(texts.read_text(encoding="utf-8"))
    embedder = WordLlamaEmbedder()
    embedder.embed(["a first word"])
    began = time.monotonic()
    embedder.embed(given["texts"])
    embedding = time.monotonic() - began
    began = time.monotonic()
    for text in given["texts"]:
        embedder.count_tokens(text)
    tokens = time.monotonic() - began
    opened = DuckDBLedger(ledger)
    told = {
        "embedding_seconds": embedding,
        "tokens_seconds": tokens,
        "search_ms": _median_ms(lambda query: ask(opened, query, embedder), given["queries"]),
        "words_ms": _median_ms(lambda query: ask(opened, query, None), given["queries"]),
        "window_ms": _median_ms(lambda _query: look(opened), given["queries"]),
    }
    with duckdb.connect(str(ledger), read_only=True) as connection:
        vectors = {query: embedder.embed([query])[0].tolist() for query in given["queries"]}
        told["vectors_ms"] = _median_ms(
            lambda query: connection.execute(NEAREST, {"query": vectors[query]}).fetchall(), given["queries"]
        )
    sys.stdout.write(json.dumps(told) + "\n")


def _median_ms(work: Callable[[str], object], queries: Sequence[str]) -> float:
    each = []
    for query in queries:
        began = time.monotonic()
        work(query)
        each.append(time.monotonic() - began)
    return 1000 * statistics.median(each)


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        ours(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        run_alone(section)
