"""A search from a terminal: take the question apart, embed it, look in the ledger, cut the snippets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from surgical_pipeline.cli.environment import (
    EXIT_FAILED,
    EXIT_USAGE,
    existing_ledger,
    fail,
    ledger_errors,
    usage_errors,
)
from surgical_pipeline.cli.terminal import tell
from surgical_pipeline.documents.chunks import split_into_chunks
from surgical_pipeline.documents.text import DISCUSSION_KIND
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.embedders.protocol import Embedder, EmbedderError
from surgical_pipeline.ledger import search as ledger_search
from surgical_pipeline.ledger.search import Filters, QuestionVector, SearchHit
from surgical_pipeline.search.question import Question
from surgical_pipeline.search.snippets import Snippet, has_terms, snippet
from surgical_pipeline.settings import Settings

KINDS = (*EntityType, DISCUSSION_KIND)
STATES = ("opened", "closed", "merged", "locked", "resolved", "unresolved")
_LONGEST_TO_CUT = 100_000
"""In characters; cutting a longer document into chunks again takes longer than the search."""


@dataclass(frozen=True, slots=True)
class ShownHit:
    """A hit with its part that is shown."""

    hit: SearchHit
    snippet: Snippet


def checked_filters(
    text: str,
    *,
    project_path: str | None,
    kind: str | None,
    state: str | None,
    labels: Sequence[str],
    since: str | None,
    include_confidential: bool,
) -> Filters:
    """The filters as the ledger takes them.

    Raises:
        typer.Exit: nothing to search for, an unknown kind or state, or an invalid date; exit code 2.
    """
    if not text.strip():
        fail("there is nothing to look for: give some words, an identifier or a reference", code=EXIT_USAGE)
    for name, value, known in (("kind", kind, KINDS), ("state", state, STATES)):
        if value is not None and value not in known:
            fail(f"unknown {name} {value!r}: choose of {', '.join(known)}", code=EXIT_USAGE)
    return Filters(
        project_path=project_path,
        kind=kind,
        state=state,
        labels=tuple(labels),
        since=_moment(since) if since else None,
        include_confidential=include_confidential,
    )


def find(text: str, *, settings: Settings, filters: Filters | None = None, limit: int = 10) -> list[ShownHit]:
    """The best documents for ``text``, best first. If no embedder answers, the search is by words only.

    Raises:
        typer.Exit: a setting is wrong or the ledger cannot be read.
    """
    ledger = existing_ledger(settings)
    filters = filters or Filters()
    question = Question.of(text)
    embedder = _opened(settings)
    vector = _embed(question, embedder)
    with ledger_errors(), ledger.read("search") as tx:
        hits = ledger_search.search(tx, question, vector=vector, filters=filters, limit=limit)
        documents, embedded = ledger_search.count_searchable(tx, embedder.name)
        projects = ledger_search.list_projects(tx)
    if not documents:
        _note("the ledger has no documents yet: sync something first")
    elif filters.project_path is not None and filters.project_path not in projects:
        _note(f"the ledger has no project {filters.project_path!r}, only {', '.join(projects)}")
    elif vector is not None and not embedded:
        _note(f"no document has a vector of {embedder.name} yet: found by words only")
    cutter = embedder if vector is not None else None
    return [ShownHit(hit, _snippet(question, hit, cutter)) for hit in hits]


def question_vector(text: str, settings: Settings) -> Mapping[str, object]:
    """The vector of ``text`` with its model, as `--vector-only` prints it.

    Raises:
        typer.Exit: a setting is wrong or the embedder gives no vector.
    """
    embedder = _opened(settings)
    try:
        values = [float(value) for value in embedder.embed([Question.of(text).text])[0]]
    except EmbedderError as error:
        fail(str(error), code=EXIT_FAILED)
    return {"model": embedder.name, "dimension": len(values), "vector": values}


def as_document(shown: ShownHit) -> dict[str, object]:
    """A hit as `--json` prints it; docs/search.md describes it."""
    document = asdict(shown.hit)
    del document["chunk_index"]
    return {"entity": shown.hit.entity} | document | {"snippet": asdict(shown.snippet)}


def _moment(text: str) -> datetime:
    """An ISO 8601 date or time, in UTC if it has no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--since {text!r} is no date: write 2026-05-01 or 2026-05-01T12:00", code=EXIT_USAGE)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _opened(settings: Settings) -> Embedder:
    with usage_errors():
        try:
            return settings.embedder.create()
        except EmbedderError as error:  # the package of an extra is missing
            fail(str(error), code=EXIT_USAGE)


def _embed(question: Question, embedder: Embedder) -> QuestionVector | None:
    try:
        return QuestionVector(embedder.name, embedder.embed([question.text])[0])
    except EmbedderError as error:
        _note(f"found by words only, for the embedder gave no vector: {error}")
        return None


def _note(text: str) -> None:
    tell(f"Note: {text}", style="yellow")


def _snippet(question: Question, hit: SearchHit, embedder: Embedder | None) -> Snippet:
    nearest = None
    if embedder is not None and hit.chunk_index is not None and not has_terms(question, hit.content):
        nearest = _chunk(hit, embedder, hit.chunk_index)
    return snippet(question, hit.content, nearest=nearest)


def _chunk(hit: SearchHit, embedder: Embedder, index: int) -> str | None:
    """The text of the chunk that was compared, without its leading title: cut as embed cut it."""
    if len(hit.content) > _LONGEST_TO_CUT:
        return None
    try:
        chunks = split_into_chunks(
            hit.title, hit.content, count_tokens=embedder.count_tokens, max_tokens=embedder.max_tokens
        )
    except EmbedderError:
        return None
    if not 0 < index < len(chunks):
        return None  # the first chunk begins with the facts, which a snippet skips
    return chunks[index].removeprefix(hit.title).strip()
