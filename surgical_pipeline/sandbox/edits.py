"""Changes to a world, with the side effects that they have in GitLab: counts, events, `updated_at`, hooks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from surgical_pipeline.sandbox import payloads
from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.hooks.bodies import changes_between, entity_changed
from surgical_pipeline.sandbox.model import Entity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from surgical_pipeline.sandbox.model import EntityKey, Json
    from surgical_pipeline.sandbox.world import World

THROTTLE: Final = timedelta(seconds=60)
_INSTANTS = frozenset({"created_at", "updated_at", "closed_at", "merged_at", "prepared_at"})
_ACTIONS: Final = {"opened": "reopen", "closed": "close", "merged": "merge"}


class EditError(ValueError):
    """The change cannot be made; the message says why."""


def update_entity(world: World, key: EntityKey, fields: Json, *, bump: bool | None = None) -> Entity:
    """Set fields of the payload. A new state or new labels also leave their events; hooks tell of what changed.

    `updated_at` moves to now, unless `fields` name it or `bump` is false. `bump` None does what GitLab does: for
    labels alone it moves only when it is at least 60 seconds old, and not at all if they are the same.
    """
    entity = editable(world, key)
    refuse_unknown(entity.kind, fields, {**entity.payload, **entity.single})
    before = _shown(entity, fields)
    at = format_instant(world.moment_after(entity.payload["updated_at"]))
    if "state" in fields and fields["state"] != entity.payload["state"]:
        _record_state(world, entity, state=str(fields["state"]), at=at)
    if "labels" in fields:
        _record_labels(world, entity, labels=list(fields["labels"]), at=at)
    for name, value in fields.items():
        target = entity.payload if name in entity.payload else entity.single
        target[name] = _instant(value) if name in _INSTANTS and value is not None else value
    if "labels" in fields:
        entity.payload["labels"] = sorted(entity.payload["labels"])
    if "description" in fields:
        entity.payload["task_completion_status"] = payloads.task_counts(str(fields["description"] or ""))
    if bump is None and fields.keys() == {"labels"}:
        touch(world, entity, bump=None if before["labels"] != entity.payload["labels"] else False)
    elif "updated_at" not in fields:
        touch(world, entity, bump=bump is not False)
    _announce_update(world, entity, before=before, after=_shown(entity, fields))
    return entity


def _shown(entity: Entity, names: Iterable[str]) -> Json:
    """The named fields and those that change with them."""
    values = entity.payload | entity.single
    return {name: values[name] for name in dict.fromkeys([*names, "updated_at"])}


def _announce_update(world: World, entity: Entity, *, before: Json, after: Json) -> None:
    project = world.projects[entity.project_id]
    changes = changes_between(before, after, project=project)
    if not changes:
        return
    state = after.get("state")
    action = "update" if state == before.get("state") else _ACTIONS.get(str(state), "update")
    world.announced.append(entity_changed(entity, project, action=action, changes=changes))


def _record_state(world: World, entity: Entity, *, state: str, at: str) -> None:
    user = entity.payload["author"]
    event = payloads.event_payload(world.next_id(), entity.payload, entity.kind, user=user, at=at)
    shown = "reopened" if state == "opened" else state
    entity.state_events.append(event | {"state": shown, "source_commit": None, "source_merge_request_id": None})
    closed = state == "closed"
    entity.payload |= {"closed_at": at if closed else None, "closed_by": user if closed else None}
    if state == "merged":
        entity.payload |= {"merged_at": at, "merged_by": user, "merge_user": user}


def _record_labels(world: World, entity: Entity, *, labels: list[str], at: str) -> None:
    project = world.projects[entity.project_id]
    before, after = set(entity.payload["labels"]), set(labels)
    for action, names in (("add", after - before), ("remove", before - after)):
        for name in sorted(names):
            event = payloads.event_payload(
                world.next_id(), entity.payload, entity.kind, user=entity.payload["author"], at=at
            )
            label = {
                k: v
                for k, v in project.detailed_label(name).items()
                if k in ("id", "name", "color", "description")
            }
            entity.label_events.append(event | {"label": label, "action": action})


def create_issue(world: World, project_id: int, fields: Json) -> Entity:
    """A new issue with the next IID and the author of the project's first issue, then `fields`."""
    project = world.projects[project_id]
    author = next(iter(world.sample.users.values()))
    payload = payloads.issue_payload(
        world.next_id(),
        world.next_iid(project_id, "issue"),
        project=project.payload,
        author=author,
        title="",
        text=str(fields.get("description") or ""),
    )
    refuse_unknown("issue", fields, payload)
    at = format_instant(world.now())
    entity = Entity("issue", payload | {"created_at": at, "updated_at": at} | fields, {"subscribed": False})
    add_opened(world, entity)
    return entity


def add_opened(world: World, entity: Entity) -> None:
    """Put a new entity into the world; hooks tell that it was opened."""
    world.add(entity)
    names = ("id", "iid", "title", "description", "state", "labels", "created_at", "updated_at")
    project, now = world.projects[entity.project_id], {name: entity.payload[name] for name in names}
    changes = changes_between(dict.fromkeys(names), now, project=project)
    world.announced.append(entity_changed(entity, project, action="open", changes=changes))


def refuse_unknown(kind: str, fields: Json, known: Json) -> None:
    unknown = fields.keys() - known.keys()
    if unknown:
        raise EditError(f"{kind} has no field {', '.join(sorted(unknown))}")


def touch(world: World, entity: Entity, *, bump: bool | None) -> None:
    """Move `updated_at` to now; `bump` None: only when it is at least 60 seconds old, False: not at all."""
    before = entity.payload["updated_at"]
    if bump is None:
        bump = world.now() - datetime.fromisoformat(before) >= THROTTLE
    if bump:
        entity.payload["updated_at"] = format_instant(world.moment_after(before))


def find_user(world: World, username: str) -> Json:
    if username not in world.sample.users:
        raise EditError(f"no user is called {username}")
    return world.sample.users[username]


def editable(world: World, key: EntityKey) -> Entity:
    """The world's own copy of an entity; EditError if it never existed."""
    entity = world.editable(key)
    if entity is None:
        raise EditError(f"project {key[0]} has no {key[1]} {key[2]}")
    return entity


def _instant(value: object) -> str:
    try:
        return format_instant(datetime.fromisoformat(str(value)))
    except ValueError as error:
        raise EditError(f"not an instant with a time zone: {value}") from error
