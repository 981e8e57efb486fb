"""What a document says about an issue, a merge request or a discussion: text for readers and for embeddings.

Pure and deterministic: the same input gives the same bytes. The text holds only what has a meaning:
``updated_at`` is a column of the document but not in its text, so GitLab's housekeeping alone neither regenerates
nor embeds anything.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from surgical_pipeline.documents.markdown import clean_markdown
from surgical_pipeline.domain.foreign_text import well_formed
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType

DISCUSSION_KIND = "discussion"
"""``kind`` of a discussion's document; the others are the values of ``EntityType``."""

_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One step of an entity's life, such as ``added label bug``; ``who`` is a username."""

    at: datetime | None
    who: str | None
    what: str


@dataclass(frozen=True, slots=True)
class EntityText:
    """An issue's or merge request's content. People are usernames without ``@``; datetimes are aware (naive: UTC).

    ``references``: other entities that GitLab links to it, as readable text (``closes acme/rocket#3``).
    ``moved_to``: where an issue moved, as readable text. ``history``: label, state and milestone events. The order
    of labels, people, references and events does not matter: they are sorted.
    """

    project_path: str
    key: EntityKey
    project_id: int
    title: str
    state: str
    labels: tuple[str, ...] = ()
    milestone: str | None = None
    author: str | None = None
    assignees: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    closed_at: datetime | None = None
    merged_at: datetime | None = None
    due_date: date | None = None
    source_branch: str | None = None
    target_branch: str | None = None
    draft: bool = False
    web_url: str | None = None
    references: tuple[str, ...] = ()
    description: str | None = None
    confidential: bool = False
    moved_to: str | None = None
    history: tuple[HistoryEvent, ...] = ()

    @property
    def entity_type(self) -> EntityType:
        return self.key.entity_type

    @property
    def reference(self) -> str:
        """As people write it: ``acme/rocket#12``."""
        return f"{self.project_path}{self.key}"


@dataclass(frozen=True, slots=True)
class NoteText:
    """One note of a discussion.

    ``position_line``: a line of the file before the change if ``position_is_old``, else of the file after it; for
    a note on several lines the last, and ``position_start`` the first.
    """

    author: str | None
    body: str
    created_at: datetime | None = None
    updated_at: datetime | None = None
    note_id: int | None = None
    system: bool = False
    internal: bool = False
    position_path: str | None = None
    position_start: int | None = None
    position_line: int | None = None
    position_is_old: bool = False
    resolvable: bool = False
    resolved: bool = False
    resolved_by: str | None = None


@dataclass(frozen=True, slots=True)
class DiscussionText:
    """A discussion and the entity it belongs to; ``notes`` in GitLab's order."""

    entity: EntityText
    discussion_id: str
    notes: tuple[NoteText, ...]


def entity_document_id(project_id: int, key: EntityKey) -> str:
    """``issue:7:12`` or ``merge_request:7:34``."""
    return f"{key.entity_type}:{project_id}:{key.iid}"


def discussion_document_id(project_id: int, key: EntityKey, *, discussion_id: str) -> str:
    """``discussion:7:issue:12:6f1c…``."""
    return f"{DISCUSSION_KIND}:{project_id}:{key.entity_type}:{key.iid}:{discussion_id}"


def entity_of_document(document_id: str) -> EntityKey:
    """The entity of a document, from the id that one of the two functions above returned."""
    kind, _, *rest = document_id.split(":")
    entity_type, iid, *_ = rest if kind == DISCUSSION_KIND else (kind, *rest)
    return EntityKey(EntityType(entity_type), int(iid))


def entity_document(entity: EntityText) -> DocumentRecord:
    """The document of an issue or a merge request."""
    title = _line(entity.title) or entity.reference
    paragraphs = ["\n".join(_entity_facts(entity)), clean_markdown(entity.description or "")]
    content = "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
    return DocumentRecord(
        document_id=entity_document_id(entity.project_id, entity.key),
        kind=entity.entity_type.value,
        key=entity.key,
        title=title,
        content=content,
        content_hash=_content_hash(title, content, confidential=entity.confidential, internal=False),
        web_url=entity.web_url,
        state=entity.state,
        labels=_distinct(entity.labels),
        author=entity.author,
        confidential=entity.confidential,
        internal=False,
        created_at=entity.created_at,
        updated_at=entity.updated_at,
    )


def discussion_document(discussion: DiscussionText) -> DocumentRecord | None:
    """The document of a discussion; None if no person took part (system notes and empty bodies only).

    ``state`` is ``resolved``, ``unresolved`` or, if there is nothing to resolve, empty. ``labels`` is empty:
    they are the entity's, and a new label there must not regenerate every discussion. The document is confidential
    if its entity is, and internal if any of its notes is.
    """
    entity = discussion.entity
    notes = tuple(
        (note, body) for note in discussion.notes if not note.system and (body := clean_markdown(note.body))
    )
    if not notes:
        return None
    first = notes[0][0]
    title = ": ".join(part for part in (f"Discussion of {entity.key}", _line(entity.title)) if part)
    content = "\n\n".join(
        ["\n".join(_discussion_facts(discussion)), *(_note_paragraph(note, body) for note, body in notes)]
    )
    internal = any(note.internal for note, _ in notes)
    anchor = f"#note_{first.note_id}" if first.note_id is not None else ""
    moments = [moment for note, _ in notes for moment in (note.created_at, note.updated_at) if moment]
    return DocumentRecord(
        document_id=discussion_document_id(entity.project_id, entity.key, discussion_id=discussion.discussion_id),
        kind=DISCUSSION_KIND,
        key=entity.key,
        title=title,
        content=content,
        content_hash=_content_hash(title, content, confidential=entity.confidential, internal=internal),
        web_url=f"{entity.web_url}{anchor}" if entity.web_url else None,
        state=_resolution(discussion),
        labels=(),
        author=first.author,
        confidential=entity.confidential,
        internal=internal,
        created_at=first.created_at,
        updated_at=max(map(_in_utc, moments), default=None),
        discussion_id=discussion.discussion_id,
    )


def _entity_facts(entity: EntityText) -> Iterator[str]:
    kind = "Issue" if entity.entity_type is EntityType.ISSUE else "Merge request"
    yield f"{kind} {entity.reference}"
    yield f"State: {_line(entity.state)}{' (draft)' if entity.draft else ''}"
    if entity.source_branch and entity.target_branch:
        yield f"Branches: {_line(entity.source_branch)} into {_line(entity.target_branch)}"
    facts = {
        "Labels": ", ".join(_distinct(entity.labels)),
        "Milestone": _line(entity.milestone or ""),
        "Author": _people((entity.author,)),
        "Assignees": _people(entity.assignees),
        "Reviewers": _people(entity.reviewers),
        "Created": _day(entity.created_at),
        "Due": _day(entity.due_date),
        "Closed": _day(entity.closed_at),
        "Merged": _day(entity.merged_at),
        "Moved to": _line(entity.moved_to or ""),
        "References": ", ".join(_distinct(entity.references)),
        "History": "; ".join(_told(event) for event in sorted(set(entity.history), key=_when)),
    }
    yield from (f"{name}: {fact}" for name, fact in facts.items() if fact)


def _discussion_facts(discussion: DiscussionText) -> Iterator[str]:
    yield f"Discussion of {discussion.entity.reference}"
    place = next((note for note in discussion.notes if note.position_path), None)
    if place is not None:
        lines = _lines(place.position_start, place.position_line)
        before = " before the change" if lines and place.position_is_old else ""
        yield f"On: {_line(place.position_path or '')}{lines}{before}"
    resolution = _resolution(discussion)
    if resolution:
        by = _people(note.resolved_by for note in discussion.notes) if resolution == "resolved" else ""
        yield resolution.capitalize() + (f" by {by}" if by else "")


def _lines(start: int | None, last: int | None) -> str:
    if last is None:
        return ""
    return f", line {last}" if start is None or start >= last else f", lines {start} to {last}"


def _note_paragraph(note: NoteText, body: str) -> str:
    """A note's author, time and text: the heading line and the text under it."""
    author = _people((note.author,)) or "Somebody"
    day = _day(note.created_at)
    return f"{author}{f' on {day}' if day else ''}{' (internal)' if note.internal else ''}:\n{body}"


def _resolution(discussion: DiscussionText) -> str:
    """GitLab's rule: a discussion is resolved when each of its resolvable notes is."""
    resolvable = [note for note in discussion.notes if note.resolvable]
    if not resolvable:
        return ""
    return "resolved" if all(note.resolved for note in resolvable) else "unresolved"


def _content_hash(title: str, content: str, *, confidential: bool, internal: bool) -> str:
    """Changes with the text and with who may read it. NUL is the separator: texts have none."""
    return hashlib.sha256(
        "\x00".join((title, content, f"confidential={confidential}", f"internal={internal}")).encode()
    ).hexdigest()


def _when(event: HistoryEvent) -> tuple[datetime, str, str]:
    """GitLab's order; events at the same time by name, so that the text never varies."""
    return (_in_utc(event.at) if event.at else _BEGINNING, event.who or "", event.what)


def _told(event: HistoryEvent) -> str:
    return " ".join(part for part in (_day(event.at), _people((event.who,)), _line(event.what)) if part)


def _people(names: Iterable[str | None]) -> str:
    return ", ".join(f"@{name}" for name in _distinct(name for name in names if name))


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    """Sorted and without duplicates: the order in which GitLab lists them means nothing."""
    return tuple(sorted({line for value in values if (line := _line(value))}))


def _line(text: str) -> str:
    """On one line, blanks single."""
    return " ".join(well_formed(text).split())


def _day(moment: date | None) -> str:
    """ISO date, in UTC."""
    if isinstance(moment, datetime):
        moment = _in_utc(moment).date()
    return moment.isoformat() if moment else ""


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
