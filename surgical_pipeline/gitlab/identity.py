"""Whether what GitLab gave as an entity's dependent is that entity's, where the payload tells."""

from collections.abc import Mapping, Sequence

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.field_types import MAX_ID


def shown(value: object) -> str:
    """An id out of a payload, fit for a message: whatever is no id is not repeated, it may be anything."""
    return str(value) if type(value) is int and 0 < value <= MAX_ID else "?"


def check_owner(
    dependent: Dependent, items: Sequence[Mapping[str, object]], *, project_id: int, key: EntityKey
) -> None:
    """Refuse the dependent of another entity, such as a cache may give: its rows would replace the right ones.

    Notes and approvals name project and IID (older servers: some or none of it); events, links, emoji and code
    name global ids or nothing, so they cannot be checked.

    Raises:
        InvalidPayloadError: an item names another project or IID.
    """
    if dependent is Dependent.DISCUSSIONS:
        notes = (note for item in items if isinstance(found := item.get("notes"), list) for note in found)
        owners = [
            (note.get("project_id"), note.get("noteable_iid")) for note in notes if isinstance(note, Mapping)
        ]
    elif dependent is Dependent.APPROVALS:
        owners = [(item.get("project_id"), item.get("iid")) for item in items]
    else:
        return
    for project, iid in owners:
        if project not in (None, project_id) or iid not in (None, key.iid):
            raise InvalidPayloadError(
                f"GitLab gave {dependent} of {key.entity_type.sigil}{shown(iid)} in project {shown(project)} "
                f"where those of {key} in project {project_id} were asked for"
            )
