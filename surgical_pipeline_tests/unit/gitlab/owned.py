"""In which fields the items of each dependent name their owner."""

from typing import Any

from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.scope import EntityKey, EntityType

TYPES = {EntityType.ISSUE: "Issue", EntityType.MERGE_REQUEST: "MergeRequest"}


def owner_fields(dependent: Dependent, key: EntityKey, *, project_id: int, gitlab_id: int) -> dict[str, Any]:
    """As an item (of discussions: a note) of that entity has them; empty for the kinds that name nobody."""
    kind = TYPES[key.entity_type]
    if dependent in EVENT_DEPENDENTS:
        return {"resource_id": gitlab_id, "resource_type": kind}
    fields: dict[Dependent, dict[str, Any]] = {
        Dependent.DISCUSSIONS: {
            "noteable_id": gitlab_id,
            "noteable_type": kind,
            "noteable_iid": key.iid,
            "project_id": project_id,
        },
        Dependent.APPROVALS: {"id": gitlab_id, "iid": key.iid, "project_id": project_id},
        Dependent.AWARD_EMOJI: {"awardable_id": gitlab_id, "awardable_type": kind},
    }
    return fields.get(dependent, {})


def give_to(
    item: dict[str, Any],
    dependent: Dependent,
    key: EntityKey,
    *,
    project_id: int,
    gitlab_id: int,
    but: object = None,
) -> None:
    """Let a real item name this owner, in those of its fields that are there and do not hold ``but``."""
    fields = owner_fields(dependent, key, project_id=project_id, gitlab_id=gitlab_id)
    notes = item.get("notes")
    for one in notes if dependent is Dependent.DISCUSSIONS and isinstance(notes, list) else [item]:
        if isinstance(one, dict):
            one.update({name: value for name, value in fields.items() if name in one and one[name] != but})


def numbered(item: dict[str, Any], number: int) -> dict[str, Any]:
    """With ids of its own, as GitLab gives them: the same note of two entities would be nobody's."""
    own = {name: number if name == "id" and type(value) is int else value for name, value in item.items()}
    notes = own.get("notes")
    return own | {"notes": [numbered(note, number) for note in notes]} if isinstance(notes, list) else own
