"""Documents rendered and chunks embedded per second, and what an unchanged rerun costs; against the sandbox.

`python -m benchmarks.documents --issues 1000` syncs so many issues twice in this process and looks at what is in
the ledger then. Rates are per second of processor time, so that idle cores do not flatter them.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb

from surgical_pipeline.documents.chunks import split_into_chunks
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder, _load
from surgical_pipeline.ledger.backlog import load_backlog
from surgical_pipeline.ledger.documents import load_sources
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.embeddings import load_candidates
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.stages.shared.rendering import documents_of

_BUDGETS = Budgets(preflight_budget_seconds=3600, dependents_budget_seconds=3600, embed_budget_seconds=3600)
_WIDTH = 44
_LONG = 20_000
"""Characters. The sandbox has one document above, the description of a megabyte."""
_NOTES = 150
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--issues", type=int, default=1000, help="issues of the sandbox project (default 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts (default 3)")
    arguments = parser.parse_args()
    sample = build_sample(issues=arguments.issues)
    with tempfile.TemporaryDirectory() as folder, RunningSandbox(sample) as sandbox:
        home = Path(folder)
        os.environ |= {
            "DAGSTER_HOME": folder,
            "SURGICAL_LEDGER": str(home / "ledger.duckdb"),
            "SURGICAL_EMBEDDER": "wordllama",
            "GITLAB_URL": sandbox.url,
            "GITLAB_TOKEN": sandbox.token,
        }
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
        project = next(one for one in sample.projects.values() if one.path == "acme/rocket")
        iids = sorted(
            iid for owner, kind, iid in sample.entities if (owner, kind) == (project.project_id, "issue")
        )
        scope = Scope.of(project.path, issue_iids=iids)
        first, again = run(scope), run(scope)
        ledger = DuckDBLedger(home / "ledger.duckdb")
        told("issues", len(scope))
        rendering(ledger, scope, project_id=project.project_id, rounds=arguments.rounds)
        embedding(ledger, rounds=arguments.rounds)
        reruns(ledger.path, first, again)


def run(scope: Scope) -> SyncResult:
    from surgical_pipeline.defs.launch import launch  # noqa: PLC0415  DAGSTER_HOME must be set first

    ledger = DuckDBLedger(Path(os.environ["SURGICAL_LEDGER"]))
    run_id = launch(scope, budgets=_BUDGETS, dependents=tuple(Dependent), ledger=ledger)
    with ledger.read() as tx:
        result = load_result(tx, run_id)
    if result is None or result.completion_status != "succeeded":
        raise SystemExit(f"the run did not succeed: {result}")
    return result


def rendering(ledger: DuckDBLedger, scope: Scope, *, project_id: int, rounds: int) -> None:
    with ledger.read() as tx:
        sources = load_sources(tx, project_id, list(scope.keys()))
    seconds, count = best(lambda: sum(1 for source in sources for _ in documents_of(source)), rounds)
    told("documents", count)
    told("documents rendered per second of one core", round(count / seconds))


def embedding(ledger: DuckDBLedger, *, rounds: int) -> None:
    with ledger.read() as tx:
        versions = load_backlog(tx, "no such model", project_id=None, after="", limit=1_000_000)
        documents = load_candidates(tx, versions, "no such model")
    long = [one for one in documents if len(one.content) > _LONG]
    short = [one for one in documents if len(one.content) <= _LONG]
    embedding_of("short documents", [(one.title, one.content) for one in short], rounds=rounds)
    embedding_of("descriptions of a megabyte", [(one.title, one.content) for one in long], rounds=rounds)
    notes = [one.content for one in short]
    threads = ["\n\n".join(notes[at : at + _NOTES]) for at in range(0, len(notes) - _NOTES, _NOTES)]
    embedding_of("threads of 150 notes", [("A long thread", thread) for thread in threads], rounds=rounds)


def embedding_of(kind: str, texts: Sequence[tuple[str, str]], *, rounds: int) -> None:
    """Each round begins without the words that the one before has left in memory, as a sync of its own does."""
    embedder = WordLlamaEmbedder()
    embedder.embed(["load the model"])

    def cut() -> list[str]:
        _load().tokenizer._word_ids.clear()  # noqa: SLF001  no word from memory
        return [
            chunk
            for title, content in texts
            for chunk in split_into_chunks(
                title, content, count_tokens=embedder.count_tokens, max_tokens=embedder.max_tokens
            )
        ]

    def embed(chunks: Sequence[str]) -> None:
        _load().tokenizer._word_ids.clear()  # noqa: SLF001  no word from memory
        embedder.embed(chunks)

    cutting, chunks = best(cut, rounds)
    computing, _ = best(lambda: embed(chunks), rounds)
    both, _ = best(lambda: embedder.embed(cut()), rounds)
    told(f"{kind}", len(texts))
    told("  chunks", len(chunks))
    told("  tokens per chunk, mean", sum(map(embedder.count_tokens, chunks)) / len(chunks))
    told("  chunks cut per second of one core", round(len(chunks) / cutting))
    told("  chunks embedded per second of one core", round(len(chunks) / computing))
    told("  the two together", round(len(chunks) / both))


def reruns(path: Path, first: SyncResult, again: SyncResult) -> None:
    """Fetching from the sandbox is most of a run, so docs and embed are told by themselves, too."""
    seconds = [(one.duration_ms or 0) / 1000 for one in (first, again)]
    ours = [seconds_of(path, one.run_id) for one in (first, again)]
    told("seconds of the first run", seconds[0])
    told("  of which docs and embed", ours[0])
    told("  documents embedded", first.counters.documents_embedded)
    told("seconds of an unchanged rerun", seconds[1])
    told("  of which docs and embed", ours[1])
    told("  documents regenerated", again.counters.documents_regenerated)
    told("  documents embedded", again.counters.documents_embedded)
    told("docs and embed, rerun to first run, ratio", ours[1] / ours[0])


def seconds_of(path: Path, run_id: str) -> float:
    with duckdb.connect(str(path), read_only=True) as connection:
        ((seconds,),) = connection.execute(
            "SELECT SUM(epoch(finished_at - started_at)) FROM sync_run_phases "
            "WHERE run_id = $run_id AND phase IN ('docs', 'embed')",
            {"run_id": run_id},
        ).fetchall()
    return float(seconds)


def best(work: Callable[[], T], rounds: int) -> tuple[float, T]:
    """The least processor time of several rounds, in seconds, and what the work gives."""
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        result = work()
        taken.append(time.process_time() - started)
    return min(taken), result


def told(name: str, figure: float) -> None:
    text = f"{figure:,}" if isinstance(figure, int) or figure.is_integer() else f"{figure:,.2f}"
    print(f"{name:<{_WIDTH}}{text:>12}")


if __name__ == "__main__":
    main()
