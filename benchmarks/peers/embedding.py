"""Embedding and search beside what a user would take instead: sentence-transformers' MiniLM, and bm25s.

`python -m benchmarks.peers.embedding [--texts 5000]`: the same texts and questions for all, of the sample's words.
How well answers fit is measured elsewhere (`benchmarks.search`).
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from benchmarks.peers.environments import REPOSITORY, NotToBeHadError, program
from benchmarks.peers.measuring import Taken, alternating, measured, must_succeed, spread
from benchmarks.peers.options import Options, run_alone
from benchmarks.peers.results import Contest, Section
from benchmarks.search import DIMENSION, QUESTIONS, ask, fill
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger

OURS, MINILM, BM25 = "ours", "MiniLM and DuckDB", "bm25s"
HEAD = ("tool", "texts", "texts embedded per s", "search, median ms", "processor s", "peak MB")
QUERIES = list(QUESTIONS.values())


def section(options: Options) -> Section:
    found = Section(
        "Embedding and search",
        f"The same texts for all. Ours searches the ledger by words and by meaning ({DIMENSION} dimensions) in a "
        "read window; MiniLM by meaning alone (384 dimensions), DuckDB comparing with every vector; bm25s by "
        "words alone, in memory. A search includes embedding the question.",
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
    for name, rounds in taken.items():
        for key, what in figures.items():
            if name != OURS and key in rounds[0].told:
                mine = spread(taken[OURS], lambda one, key=key: one.told[key])  # type: ignore[misc]
                theirs = spread(rounds, lambda one, key=key: one.told[key])  # type: ignore[misc]
                found.contests.append(Contest(what, name, mine, theirs))


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
    opened, each = DuckDBLedger(ledger), []
    for query in given["queries"]:
        began = time.monotonic()
        ask(opened, query, embedder)
        each.append(time.monotonic() - began)
    told = {"embedding_seconds": embedding, "search_ms": 1000 * statistics.median(each)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["ours"]:
        ours(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        run_alone(section)
