"""From the payloads of one entity, as the ledger holds them, to its documents."""

from collections.abc import Iterator

from surgical_pipeline.documents.text import (
    DiscussionText,
    EntityText,
    HistoryEvent,
    NoteText,
    discussion_document,
    entity_document,
)
from surgical_pipeline.domain.records import DocumentRecord
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.gitlab.payloads import (
    DiffLine,
    Entity,
    Issue,
    IssueLink,
    LabelEvent,
    MergeRequest,
    MilestoneEvent,
    Note,
    Position,
    ResourceEvent,
    StateEvent,
    User,
)
from surgical_pipeline.ledger.documents import EntitySource

_LINK_WORDS = {"relates_to": "related to", "blocks": "blocks", "is_blocked_by": "blocked by"}


def documents_of(source: EntitySource) -> Iterator[DocumentRecord]:
    """The entity's own document, then one for each discussion that a person took part in.

    Raises:
        pydantic.ValidationError: a payload is not what preflight or dependents once accepted.
    """
    text = _entity_text(source)
    yield entity_document(text)
    for discussion in source.discussions:
        notes = tuple(_note_text(Note.model_validate_json(payload)) for payload in discussion.notes)
        document = discussion_document(DiscussionText(text, discussion.discussion_id, notes))
        if document is not None:
            yield document


def _entity_text(source: EntitySource) -> EntityText:
    issue = source.key.entity_type is EntityType.ISSUE
    entity: Entity = (Issue if issue else MergeRequest).model_validate_json(source.payload)
    code = entity if isinstance(entity, MergeRequest) else None
    moved_to_id = entity.moved_to_id if isinstance(entity, Issue) else None
    return EntityText(
        project_path=source.project_path,
        key=source.key,
        project_id=source.project_id,
        title=entity.title or "",
        state=entity.state or "",
        labels=entity.label_names,
        milestone=entity.milestone_title,
        author=_handle(entity.author),
        assignees=_handles(entity.assigned),
        reviewers=_handles(code.reviewers) if code else (),
        created_at=entity.created_at,
        updated_at=entity.updated_at,
        closed_at=entity.closed_at,
        merged_at=code.merged_at if code else None,
        due_date=entity.due_date if isinstance(entity, Issue) else None,
        source_branch=code.source_branch if code else None,
        target_branch=code.target_branch if code else None,
        draft=code.is_draft if code else False,
        web_url=entity.web_url,
        description=entity.description,
        confidential=entity.confidential if isinstance(entity, Issue) else False,
        references=tuple(_references(source)),
        moved_to=f"the issue with GitLab's id {moved_to_id}" if moved_to_id else None,
        history=tuple(_history(source)),
    )


def _note_text(note: Note) -> NoteText:
    position = note.position or Position()
    start = (position.line_range and position.line_range.start) or DiffLine()
    is_old = position.new_line is None and position.old_line is not None
    return NoteText(
        author=_handle(note.author),
        body=note.body or "",
        created_at=note.created_at,
        updated_at=note.updated_at,
        note_id=note.id,
        system=note.system,
        internal=note.hidden_from_guests,
        position_path=(is_old and position.old_path) or position.new_path or position.old_path,
        position_start=start.old_line if is_old else start.new_line,
        position_line=position.old_line if is_old else position.new_line,
        position_is_old=is_old,
        resolvable=note.resolvable,
        resolved=note.resolved,
        resolved_by=_handle(note.resolved_by),
    )


def _history(source: EntitySource) -> Iterator[HistoryEvent]:
    """Label, state and milestone events in words; events whose label or milestone was deleted are left out."""
    for label in map(LabelEvent.model_validate_json, source.label_events):
        if label.label:
            yield _happened(label, f"{_verb(label.action)} label {label.label.name}")
    for milestone in map(MilestoneEvent.model_validate_json, source.milestone_events):
        if milestone.milestone and milestone.milestone.title:
            yield _happened(milestone, f"{_verb(milestone.action)} milestone {milestone.milestone.title}")
    for state in map(StateEvent.model_validate_json, source.state_events):
        if state.state:
            yield _happened(state, state.state)


def _references(source: EntitySource) -> Iterator[str]:
    """What it is linked to, closed by and closes, each only as a reference such as people write.

    Their titles and states are left out: they change without this entity, and would be out of date.
    """
    for link in map(IssueLink.model_validate_json, source.links):
        yield _named(_LINK_WORDS.get(link.link_type or "", "related to"), link, source)
    for change in map(MergeRequest.model_validate_json, source.closed_by):
        yield _named("closed by", change, source)
    for issue in map(Issue.model_validate_json, source.closes_issues):
        yield _named("closes", issue, source)


def _named(how: str, other: Entity, source: EntitySource) -> str:
    """``closes #12``, in another project ``closes group/project#12``; a tracker outside GitLab has its own id."""
    full = other.references.full if other.references else None
    if full:
        return f"{how} {full.removeprefix(source.project_path) if _same_project(full, source) else full}"
    if other.iid is not None and other.project_id in (None, source.project_id):
        return f"{how} {'!' if isinstance(other, MergeRequest) else '#'}{other.iid}"
    return f"{how} {other.web_url or other.id}"


def _same_project(full: str, source: EntitySource) -> bool:
    return full.replace("!", "#").partition("#")[0] == source.project_path


def _happened(event: ResourceEvent, what: str) -> HistoryEvent:
    return HistoryEvent(event.created_at, _handle(event.user), what)


def _verb(action: str | None) -> str:
    return "removed" if action == "remove" else "added"


def _handle(user: User | None) -> str | None:
    return user.handle if user else None


def _handles(users: tuple[User, ...]) -> tuple[str, ...]:
    return tuple(handle for user in users if (handle := user.handle))
