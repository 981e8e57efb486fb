"""Changes to a world, with the side effects that they have in GitLab: counts, events, `updated_at`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from surgical_pipeline.sandbox import payloads
from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.model import Entity

if TYPE_CHECKING:
    from surgical_pipeline.sandbox.model import EntityKey, Json
    from surgical_pipeline.sandbox.world import World

THROTTLE: Final = timedelta(seconds=60)
_INSTANTS = frozenset({"created_at", "updated_at", "closed_at", "merged_at", "prepared_at"})


class EditError(ValueError):
    """The change cannot be made; the message says why."""


def update_entity(world: World, key: EntityKey, fields: Json, *, bump: bool) -> Entity:
    """Set fields of the payload. A new state or new labels also leave their events.

    `updated_at` moves to now, unless `fields` name it or `bump` is false.
    """
    entity = _editable(world, key)
    unknown = fields.keys() - entity.payload.keys() - entity.single.keys()
    if unknown:
        raise EditError(f"{key[1]} has no field {', '.join(sorted(unknown))}")
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
    if bump and "updated_at" not in fields:
        entity.payload["updated_at"] = at
    return entity


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
    iid = world.next_iid(project_id, "issue")
    payload = payloads.issue_payload(
        world.next_id(),
        iid,
        project=project.payload,
        author=author,
        title="",
        text=str(fields.get("description") or ""),
    )
    unknown = fields.keys() - payload.keys()
    if unknown:
        raise EditError(f"issue has no field {', '.join(sorted(unknown))}")
    at = format_instant(world.now())
    entity = Entity("issue", payload | {"created_at": at, "updated_at": at} | fields, {"subscribed": False})
    world.add(entity)
    return entity


def add_note(
    world: World,
    key: EntityKey,
    *,
    body: str,
    username: str,
    discussion_id: str | None,
    internal: bool,
    bump: bool | None,
) -> tuple[str, Json]:
    """A note by a person, in a new thread or in an existing one; returns the discussion's id and the note.

    `bump` None does what GitLab does: `updated_at` moves only when it is at least 60 seconds old.
    """
    entity = _editable(world, key)
    author = _user(world, username)
    moment = world.now()
    note = payloads.note_payload(
        world.next_id(),
        entity.payload,
        entity.kind,
        author=author,
        body=body,
        at=format_instant(moment),
        system=False,
        internal=internal,
    )
    discussion = next((found for found in entity.discussions if found["id"] == discussion_id), None)
    if discussion_id is not None and discussion is None:
        raise EditError(f"no discussion {discussion_id} on {key[1]} {key[2]}")
    if discussion is None:
        discussion = payloads.discussion_payload([note], individual=True)
        entity.discussions.append(discussion)
    else:
        discussion["individual_note"] = False
        discussion["notes"].append(note)
    _touch(world, entity, bump=bump)
    _count_notes(entity)
    return str(discussion["id"]), note


def edit_note(world: World, note_id: int, *, body: str, bump: bool | None) -> Json:
    entity = _editable(world, _noteable(world, note_id))
    note = next(note for note in entity.notes() if note["id"] == note_id)
    note |= {"body": body, "updated_at": format_instant(world.moment_after(note["updated_at"]))}
    _touch(world, entity, bump=bump)
    return note


def delete_note(world: World, note_id: int) -> None:
    """Remove a note; GitLab does not change `updated_at` for that. An empty thread is removed, too."""
    entity = _editable(world, _noteable(world, note_id))
    for discussion in entity.discussions:
        discussion["notes"] = [note for note in discussion["notes"] if note["id"] != note_id]
    entity.discussions = [discussion for discussion in entity.discussions if discussion["notes"]]
    _count_notes(entity)


def add_award(world: World, key: EntityKey, *, name: str, username: str) -> Json:
    """Add an emoji to an entity; GitLab does not change `updated_at` for that."""
    entity = _editable(world, key)
    award = payloads.award_payload(
        world.next_id(),
        entity.payload,
        entity.kind,
        user=_user(world, username),
        name=name,
        at=format_instant(world.now()),
    )
    entity.awards.append(award)
    _count_votes(entity)
    return award


def delete_award(world: World, key: EntityKey, *, award_id: int) -> None:
    entity = _editable(world, key)
    if all(award["id"] != award_id for award in entity.awards):
        raise EditError(f"no emoji {award_id} on {key[1]} {key[2]}")
    entity.awards = [award for award in entity.awards if award["id"] != award_id]
    _count_votes(entity)


def set_approvers(world: World, key: EntityKey, *, usernames: list[str]) -> None:
    """Let exactly these people approve a merge request."""
    entity = _editable(world, key)
    entity.approved_by = [_user(world, username) for username in usernames]
    _touch(world, entity, bump=None)


def _count_votes(entity: Entity) -> None:
    for field, name in (("upvotes", "thumbsup"), ("downvotes", "thumbsdown")):
        entity.payload[field] = sum(award["name"] == name for award in entity.awards)


def _user(world: World, username: str) -> Json:
    if username not in world.sample.users:
        raise EditError(f"no user is called {username}")
    return world.sample.users[username]


def _touch(world: World, entity: Entity, *, bump: bool | None) -> None:
    before = entity.payload["updated_at"]
    if bump is None:
        bump = world.now() - datetime.fromisoformat(before) >= THROTTLE
    if bump:
        entity.payload["updated_at"] = format_instant(world.moment_after(before))


def _count_notes(entity: Entity) -> None:
    entity.payload["user_notes_count"] = sum(not note["system"] for note in entity.notes())


def _editable(world: World, key: EntityKey) -> Entity:
    entity = world.editable(key)
    if entity is None:
        raise EditError(f"project {key[0]} has no {key[1]} {key[2]}")
    return entity


def _noteable(world: World, note_id: int) -> EntityKey:
    for key in world.every_key():
        entity = world.find(*key)
        if entity is not None and any(note["id"] == note_id for note in entity.notes()):
            return key
    raise EditError(f"no note {note_id}")


def _instant(value: object) -> str:
    try:
        return format_instant(datetime.fromisoformat(str(value)))
    except ValueError as error:
        raise EditError(f"not an instant with a time zone: {value}") from error
