"""From GitLab's JSON to what the ledger stores: key columns taken from a payload, and the payload itself.

For any JSON, the result is a record or an ``InvalidPayloadError`` that names the field.
"""

from collections.abc import Callable, Container
from datetime import datetime
from functools import partial
from typing import TypeVar

from pydantic import ValidationError

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.records import (
    DependentRecords,
    DiscussionRecord,
    EntityRecord,
    LinkedRecord,
    NoteRecord,
    ProjectRecord,
    ResourceEventRecord,
)
from surgical_pipeline.domain.scope import MAX_IID, EntityKey, EntityType
from surgical_pipeline.domain.web_address import gitlab_of
from surgical_pipeline.gitlab.canonical import canonical, storable
from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.payloads import (
    Approvals,
    AwardEmoji,
    Commit,
    Diff,
    Discussion,
    Entity,
    Issue,
    IssueLink,
    LabelEvent,
    MergeRequest,
    MilestoneEvent,
    Note,
    Payload,
    Project,
    ResourceEvent,
    StateEvent,
    Token,
    Version,
)

_Model = TypeVar("_Model", bound=Payload)
_Value = TypeVar("_Value")

_EVENT_MODELS: dict[Dependent, type[ResourceEvent]] = {
    Dependent.LABEL_EVENTS: LabelEvent,
    Dependent.STATE_EVENTS: StateEvent,
    Dependent.MILESTONE_EVENTS: MilestoneEvent,
}


def parse_project(item: object) -> ProjectRecord:
    """A project's answer.

    Raises:
        InvalidPayloadError: not a project; the message names the field.
    """
    item = storable(item, "project")
    project = _validated(Project, item, "project")
    enabled = {
        EntityType.ISSUE: project.issues_enabled,
        EntityType.MERGE_REQUEST: project.merge_requests_enabled,
    }
    return ProjectRecord(
        project_id=project.id,
        path=project.path_with_namespace,
        payload=canonical(item, "project"),
        unreadable=frozenset(kind for kind, on in enabled.items() if on is False),
        gitlab_url=gitlab_of(project.web_url, project.path_with_namespace) if project.web_url else None,
        created_at=project.created_at,
    )


def parse_entity(kind: EntityType, item: object, *, fetched_at: datetime) -> EntityRecord:
    """An issue or merge request. The caller checks whether it is the requested one.

    Raises:
        InvalidPayloadError: a key column is missing or of another type; the message names the field.
    """
    what = kind.value.replace("_", " ")
    item = storable(item, what)
    model: type[Entity] = Issue if kind is EntityType.ISSUE else MergeRequest
    entity = _validated(model, item, what)
    iid = _present(entity.iid, "iid", what=what)
    if iid > MAX_IID:
        raise InvalidPayloadError(f"the field iid of GitLab's {what} is larger than any IID")
    return EntityRecord(
        key=EntityKey(kind, iid),
        project_id=_present(entity.project_id, "project_id", what=what),
        gitlab_id=_present(entity.id if isinstance(entity.id, int) else None, "id", what=what),
        title=_present(entity.title, "title", what=what),
        state=_present(entity.state, "state", what=what),
        updated_at=_present(entity.updated_at, "updated_at", what=what),
        fetched_at=fetched_at,
        payload=canonical(item, what),
        confidential=isinstance(entity, Issue) and entity.confidential,
        moved_to_id=entity.moved_to_id if isinstance(entity, Issue) else None,
        sha=entity.sha if isinstance(entity, MergeRequest) else None,
        target_project_id=entity.target_project_id if isinstance(entity, MergeRequest) else None,
        target_branch=entity.target_branch if isinstance(entity, MergeRequest) else None,
    )


def parse_dependent(dependent: Dependent, items: object) -> DependentRecords:
    """The records of one dependent, from all items of all its pages.

    Raises:
        InvalidPayloadError: an item is invalid; the message names the field.
    """
    if dependent is Dependent.DISCUSSIONS:
        return parse_discussions(items)
    if dependent in EVENT_DEPENDENTS:
        return parse_events(dependent, items)
    return parse_linked(dependent, items)


def parse_discussions(items: object) -> tuple[DiscussionRecord, ...]:
    """Discussions in GitLab's order. One that comes twice (rows moved between pages) counts once: the last.

    Raises:
        InvalidPayloadError: see ``parse_dependent``.
    """
    found: dict[str, tuple[Discussion, dict[str, object]]] = {}
    for item in _objects(items, "discussion"):
        discussion = _validated(Discussion, item, "discussion")
        found[discussion.id] = (discussion, item)
    return tuple(
        _discussion(discussion, item, position=position)
        for position, (discussion, item) in enumerate(found.values())
    )


def parse_events(dependent: Dependent, items: object) -> tuple[ResourceEventRecord, ...]:
    """Label, state or milestone events, each once.

    Raises:
        InvalidPayloadError: see ``parse_dependent``.
    """
    what = dependent.value.replace("_", " ").removesuffix("s")
    found: dict[int, ResourceEventRecord] = {}
    for item in _objects(items, what):
        event = _validated(_EVENT_MODELS[dependent], item, what)
        found[event.id] = ResourceEventRecord(event.id, event.created_at, canonical(item, what))
    return tuple(found.values())


def parse_linked(dependent: Dependent, items: object) -> tuple[LinkedRecord, ...]:
    """Links, commits, diffs, related entities, awards and approvals, each once, in GitLab's order.

    ``record_id`` is GitLab's id (of the link if there is one, a commit's SHA), for a diff the file's path, and
    ``approvals`` for the single record of approvals.

    Raises:
        InvalidPayloadError: see ``parse_dependent``.
    """
    what = dependent.value.replace("_", " ").removesuffix("s")
    identify = _RECORD_IDS[dependent]
    found: dict[str, dict[str, object]] = {}
    for item in _objects(items, what):
        record_id = identify(item, what)
        if dependent is Dependent.DIFFS:
            record_id = unused_id(record_id, found)
        found[record_id] = item
    return tuple(
        LinkedRecord(record_id, position, canonical(item, what))
        for position, (record_id, item) in enumerate(found.items())
    )


def parse_version(item: object) -> str:
    """The answer of ``/version``."""
    return _validated(Version, storable(item, "version"), "version").version


def parse_scopes(item: object) -> tuple[str, ...]:
    """The answer of ``/personal_access_tokens/self``."""
    return _validated(Token, storable(item, "token"), "token").scopes


def _discussion(discussion: Discussion, item: dict[str, object], *, position: int) -> DiscussionRecord:
    raw_notes = item.get("notes") or []
    notes: dict[int, NoteRecord] = {}
    for note, raw in zip(discussion.notes, raw_notes if isinstance(raw_notes, list) else [], strict=True):
        notes.setdefault(note.id, _note(note, raw, position=len(notes)))
    own = {name: value for name, value in item.items() if name != "notes"}
    return DiscussionRecord(
        discussion_id=discussion.id,
        position=position,
        individual_note=discussion.individual_note,
        payload=canonical(own, "discussion"),
        notes=tuple(notes.values()),
    )


def _note(note: Note, raw: object, *, position: int) -> NoteRecord:
    return NoteRecord(
        note_id=note.id,
        position=position,
        author=note.author.handle if note.author else None,
        system=note.system,
        internal=note.hidden_from_guests,
        created_at=note.created_at,
        updated_at=note.updated_at,
        payload=canonical(raw, "note"),
    )


def _entity_id(model: type[Entity], item: dict[str, object], what: str) -> str:
    return str(_validated(model, item, what).id)


def _link_id(item: dict[str, object], what: str) -> str:
    link = _validated(IssueLink, item, what)
    return str(link.issue_link_id or link.id)


def _commit_id(item: dict[str, object], what: str) -> str:
    return _validated(Commit, item, what).id


def _diff_id(item: dict[str, object], what: str) -> str:
    diff = _validated(Diff, item, what)
    return _present(diff.new_path or diff.old_path, "new_path", what=what)


def _award_id(item: dict[str, object], what: str) -> str:
    return str(_validated(AwardEmoji, item, what).id)


def _approvals_id(item: dict[str, object], what: str) -> str:
    """A merge request has one such record, and some editions give it no id."""
    _validated(Approvals, item, what)
    return "approvals"


_RECORD_IDS: dict[Dependent, Callable[[dict[str, object], str], str]] = {
    Dependent.LINKS: _link_id,
    Dependent.CLOSED_BY: partial(_entity_id, MergeRequest),
    Dependent.CLOSES_ISSUES: partial(_entity_id, Issue),
    Dependent.COMMITS: _commit_id,
    Dependent.DIFFS: _diff_id,
    Dependent.APPROVALS: _approvals_id,
    Dependent.AWARD_EMOJI: _award_id,
}


def unused_id(record_id: str, taken: Container[str]) -> str:
    """A file that changed its type comes as two diffs of one path: deleted and added."""
    number, candidate = 1, record_id
    while candidate in taken:
        number += 1
        candidate = f"{record_id} ({number})"
    return candidate


def _objects(items: object, what: str) -> list[dict[str, object]]:
    if not isinstance(items, list | tuple):
        raise InvalidPayloadError(f"GitLab's {what} list is not a list")
    objects: list[dict[str, object]] = []
    for item in items:
        cleaned = storable(item, what)
        if not isinstance(cleaned, dict):
            raise InvalidPayloadError(f"GitLab's {what} is not an object")
        objects.append(cleaned)
    return objects


def _validated(model: type[_Model], item: object, what: str) -> _Model:
    try:
        return model.model_validate(item)
    except ValidationError as error:
        # The first complaint, without the value that caused it: payloads may be confidential.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "itself"
        raise InvalidPayloadError(f"the field {field} of GitLab's {what} is wrong: {first['msg']}") from None


def _present(value: _Value | None, field: str, *, what: str) -> _Value:
    if value is None:
        raise InvalidPayloadError(f"the field {field} of GitLab's {what} is missing")
    return value
