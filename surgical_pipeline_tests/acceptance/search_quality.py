"""How well questions written by hand find what they are about in the sandbox's sample.

`search_queries.json` and `search_queries_held_out.json` hold them: each with its kind and the titles of the
entities that answer it. They were written before any search was run on them, by somebody who had read the sample;
a "paraphrase" avoids their words. The fusion's weights and constant were chosen on the first set. Nothing is ever
chosen on the second: it tells what to expect elsewhere.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.embedders.protocol import Embedder
from surgical_pipeline.ledger.protocol import Ledger, Transaction
from surgical_pipeline.ledger.search import Filters, QuestionVector, SearchHit, search
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.search.question import MEANING, WORDS, Question

QUERIES = Path(__file__).with_name("search_queries.json")
HELD_OUT_QUERIES = Path(__file__).with_name("search_queries_held_out.json")
FUSED = "fused"
MODES = (WORDS, MEANING, FUSED)
ALL = "all"
DEPTH = 20
TOP = 5


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over questions: share of the answers among the first five hits, and 1 / rank of the first answer."""

    questions: int
    recall: float
    mrr: float


def sample_scope(project: str = "acme/rocket") -> tuple[str, Mapping[EntityKey, str]]:
    """A scope text of the whole sample project, and the title of each entity."""
    sample = build_sample()
    project_id = next(one.project_id for one in sample.projects.values() if one.path == project)
    titles = {
        EntityKey(EntityType(kind), iid): str(entity.payload["title"])
        for (of, kind, iid), entity in sample.entities.items()
        if of == project_id
    }
    iids: dict[str, list[str]] = defaultdict(list)
    for key in sorted(titles):
        iids[key.entity_type.sigil].append(str(key.iid))
    return project + "".join(sigil + "+".join(numbers) for sigil, numbers in iids.items()), titles


def measure(
    ledger: Ledger, embedder: Embedder, titles: Mapping[EntityKey, str], *, queries: Path
) -> dict[str, dict[str, Quality]]:
    """Quality by mode, then by kind of question; ``all`` is every kind."""
    figures: dict[str, dict[str, list[tuple[float, float]]]] = {mode: defaultdict(list) for mode in MODES}
    for asked in json.loads(queries.read_text(encoding="utf-8")):
        relevant = set(asked["relevant"])
        unknown = relevant - set(titles.values())
        if unknown:
            raise ValueError(f"the sample has no such titles: {unknown}")
        with ledger.read("search") as tx:
            found = {mode: ask(tx, embedder, asked["query"], mode=mode) for mode in MODES}
        for mode, hits in found.items():
            ranked = [titles[EntityKey(hit.entity_type, hit.iid)] for hit in hits]
            for kind in (asked["kind"], ALL):
                figures[mode][kind].append((_recall(ranked, relevant), _reciprocal_rank(ranked, relevant)))
    return {mode: {kind: _mean(pairs) for kind, pairs in kinds.items()} for mode, kinds in figures.items()}


def ask(tx: Transaction, embedder: Embedder, text: str, *, mode: str) -> list[SearchHit]:
    """In the modes of one ranking neither references nor exact strings help."""
    question = Question.of(text)
    vector = QuestionVector(embedder.name, embedder.embed([question.text])[0]) if mode != WORDS else None
    if mode != FUSED:
        question = Question("", (), question.terms if mode == WORDS else ())
    return search(tx, question, vector=vector, filters=Filters(), limit=DEPTH)


def table(figures: Mapping[str, Mapping[str, Quality]]) -> str:
    """Markdown: a row a kind, for each mode recall@5 and MRR."""
    lines = ["| questions | n | " + " | ".join(f"{mode} recall@{TOP} | {mode} MRR" for mode in MODES) + " |"]
    lines.append("|---|---:" + "|---:|---:" * len(MODES) + "|")
    for kind, one in figures[FUSED].items():
        cells = [f"{figures[mode][kind].recall:.3f} | {figures[mode][kind].mrr:.3f}" for mode in MODES]
        lines.append(f"| {kind} | {one.questions} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _recall(found: Sequence[str], relevant: set[str]) -> float:
    return len(relevant & set(found[:TOP])) / min(len(relevant), TOP)


def _reciprocal_rank(found: Iterable[str], relevant: set[str]) -> float:
    return next((1 / rank for rank, title in enumerate(found, start=1) if title in relevant), 0.0)


def _mean(pairs: Sequence[tuple[float, float]]) -> Quality:
    recalls, ranks = zip(*pairs, strict=True)
    return Quality(len(pairs), sum(recalls) / len(pairs), sum(ranks) / len(pairs))
