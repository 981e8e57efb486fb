"""Whether what GitLab returned as an entity's dependent belongs to it, by everything in the payload."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.field_types import MAX_ID

_Item = Mapping[str, object]
_MAX_TYPE_LENGTH = 20
_TYPES = {
    EntityType.ISSUE: frozenset({"issue", "workitem"}),
    # A note on one of its commits belongs to the commit, no matter where GitLab shows it.
    EntityType.MERGE_REQUEST: frozenset({"mergerequest", "commit"}),
}


@dataclass(frozen=True, slots=True)
class Owner:
    """The entity whose dependents were requested. ``gitlab_id``: GitLab's global id, None if not known."""

    project_id: int
    key: EntityKey
    gitlab_id: int | None = None


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields in which a payload names its owner."""

    gitlab_id: str
    type: str | None = None
    project_id: str | None = None
    iid: str | None = None


_EVENTS = _Fields(gitlab_id="resource_id", type="resource_type")
_FIELDS = dict.fromkeys(EVENT_DEPENDENTS, _EVENTS) | {
    Dependent.DISCUSSIONS: _Fields(
        gitlab_id="noteable_id", type="noteable_type", project_id="project_id", iid="noteable_iid"
    ),
    Dependent.AWARD_EMOJI: _Fields(gitlab_id="awardable_id", type="awardable_type"),
    Dependent.APPROVALS: _Fields(gitlab_id="id", project_id="project_id", iid="iid"),
}


def shown(value: object) -> str:
    """An id or a type from a payload, safe for a message: anything else is not repeated."""
    is_id = type(value) is int and 0 < value <= MAX_ID
    is_type = isinstance(value, str) and value.isascii() and value.isalpha() and len(value) <= _MAX_TYPE_LENGTH
    return str(value) if is_id or is_type else "?"


def check_owner(dependent: Dependent, items: Sequence[_Item], owner: Owner) -> None:
    """Refuse the dependent of another entity, such as a cache may return: its rows would replace the right ones.

    Checks every field that names the owner, if it is present: older servers leave some out. Links name only
    their other end, which is never the owner itself; the remaining kinds name no owner.

    Raises:
        InvalidPayloadError: an item belongs to another entity.
    """
    if dependent is Dependent.LINKS:
        wrong = next((("id", item.get("id")) for item in items if _is(item, owner)), None)
    elif dependent in _FIELDS:
        owned = _notes(items) if dependent is Dependent.DISCUSSIONS else iter(items)
        wrong = next((found for item in owned for found in _contradictions(item, _FIELDS[dependent], owner)), None)
    else:
        return
    if wrong is not None:
        field, value = wrong
        raise InvalidPayloadError(
            f"GitLab gave {dependent} whose {field} is {shown(value)} "
            f"where those of {owner.key} in project {owner.project_id} were asked for"
        )


def _contradictions(item: _Item, fields: _Fields, owner: Owner) -> Iterator[tuple[str, object]]:
    for field, right in (
        (fields.project_id, owner.project_id),
        (fields.iid, owner.key.iid),
        (fields.gitlab_id, owner.gitlab_id),
    ):
        told = item.get(field) if field else None
        if field and told is not None and right is not None and (type(told) is not int or told != right):
            yield field, told
    kind = item.get(fields.type) if fields.type else None
    if fields.type and kind is not None and _plain(kind) not in _TYPES[owner.key.entity_type]:
        yield fields.type, kind


def _is(item: _Item, owner: Owner) -> bool:
    """Whether a linked issue is the owner."""
    by_id = owner.gitlab_id is not None and item.get("id") == owner.gitlab_id
    return by_id or (item.get("project_id"), item.get("iid")) == (owner.project_id, owner.key.iid)


def _notes(items: Sequence[_Item]) -> Iterator[_Item]:
    for item in items:
        notes = item.get("notes")
        for note in notes if isinstance(notes, list) else ():
            if isinstance(note, Mapping):
                yield note


def _plain(kind: object) -> str:
    """``MergeRequest`` and ``Merge request`` (as in GitLab's own examples) are the same."""
    return kind.replace(" ", "").lower() if isinstance(kind, str) else ""
