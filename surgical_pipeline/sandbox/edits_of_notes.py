"""Changes to notes and emoji. They move `updated_at` at most once in 60 seconds, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from surgical_pipeline.sandbox import payloads
from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.edits import EditError, editable, find_user, touch
from surgical_pipeline.sandbox.hooks.bodies import emoji_moved, note_written

if TYPE_CHECKING:
    from surgical_pipeline.sandbox.model import Entity, EntityKey, Json
    from surgical_pipeline.sandbox.world import World


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
    entity = editable(world, key)
    author = find_user(world, username)
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
    touch(world, entity, bump=bump)
    _count_notes(entity)
    _announce_note(world, entity, note, discussion=discussion, action="create")
    return str(discussion["id"]), note


def edit_note(world: World, note_id: int, *, body: str, bump: bool | None) -> Json:
    entity = editable(world, _noteable(world, note_id))
    found: tuple[Json, Json] = next(
        (discussion, note)
        for discussion in entity.discussions
        for note in discussion["notes"]
        if note["id"] == note_id
    )
    discussion, note = found
    note |= {"body": body, "updated_at": format_instant(world.moment_after(note["updated_at"]))}
    touch(world, entity, bump=bump)
    _announce_note(world, entity, note, discussion=discussion, action="update")
    return note


def delete_note(world: World, note_id: int) -> None:
    """Remove a note; GitLab neither moves `updated_at` for that nor tells hooks. An empty thread goes, too."""
    entity = editable(world, _noteable(world, note_id))
    for discussion in entity.discussions:
        discussion["notes"] = [note for note in discussion["notes"] if note["id"] != note_id]
    entity.discussions = [discussion for discussion in entity.discussions if discussion["notes"]]
    _count_notes(entity)


def add_award(world: World, key: EntityKey, *, name: str, username: str) -> Json:
    """Add an emoji to an entity; GitLab does not change `updated_at` for that."""
    entity = editable(world, key)
    award = payloads.award_payload(
        world.next_id(),
        entity.payload,
        entity.kind,
        user=find_user(world, username),
        name=name,
        at=format_instant(world.now()),
    )
    entity.awards.append(award)
    _count_votes(entity)
    world.announced.append(emoji_moved(entity, world.projects[key[0]], award=award, event="award"))
    return award


def delete_award(world: World, key: EntityKey, *, award_id: int) -> None:
    entity = editable(world, key)
    found = next((award for award in entity.awards if award["id"] == award_id), None)
    if found is None:
        raise EditError(f"no emoji {award_id} on {key[1]} {key[2]}")
    entity.awards = [award for award in entity.awards if award["id"] != award_id]
    _count_votes(entity)
    world.announced.append(emoji_moved(entity, world.projects[key[0]], award=found, event="revoke"))


def _announce_note(
    world: World, entity: Entity, note: Json, *, discussion: Json, action: Literal["create", "update"]
) -> None:
    project = world.projects[entity.project_id]
    world.announced.append(
        note_written(entity, project, note=note, discussion_id=str(discussion["id"]), action=action)
    )


def _count_votes(entity: Entity) -> None:
    for field, name in (("upvotes", "thumbsup"), ("downvotes", "thumbsdown")):
        entity.payload[field] = sum(award["name"] == name for award in entity.awards)


def _count_notes(entity: Entity) -> None:
    entity.payload["user_notes_count"] = sum(not note["system"] for note in entity.notes())


def _noteable(world: World, note_id: int) -> EntityKey:
    for key in world.every_key():
        entity = world.find(*key)
        if entity is not None and any(note["id"] == note_id for note in entity.notes()):
            return key
    raise EditError(f"no note {note_id}")
