"""Changes that only merge requests know: opening, preparing, approving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgical_pipeline.sandbox import payloads
from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.edits import EditError, add_opened, editable, find_user, refuse_unknown, touch
from surgical_pipeline.sandbox.hooks.bodies import entity_changed
from surgical_pipeline.sandbox.model import Entity
from surgical_pipeline.sandbox.sample.code import branch_name, diff_refs

if TYPE_CHECKING:
    from surgical_pipeline.sandbox.model import EntityKey, Json
    from surgical_pipeline.sandbox.world import World


def create_merge_request(world: World, project_id: int, fields: Json) -> Entity:
    """A new merge request with one commit, not prepared yet: no `prepared_at`, no `diff_refs`, no diffs."""
    project = world.projects[project_id]
    author = next(iter(world.sample.users.values()))
    title = str(fields.get("title", ""))
    payload = payloads.merge_request_payload(
        world.next_id(),
        world.next_iid(project_id, "merge_request"),
        project=project.payload,
        author=author,
        title=title,
        text=str(fields.get("description") or ""),
        source_branch=branch_name(title),
    )
    refuse_unknown("merge_request", fields, payload)
    at = format_instant(world.now())
    unprepared = {"merge_status": "preparing", "detailed_merge_status": "preparing"}
    payload |= {"created_at": at, "updated_at": at} | unprepared | fields
    single = payloads.merge_request_alone(changes_count=None, diff_refs=None)
    entity = Entity("merge_request", payload, single)
    parent = diff_refs(payload)["base_sha"]
    entity.commits.append(
        payloads.commit_payload(
            project.payload, sha=payload["sha"], parent=parent, title=title or "Change", author=author, at=at
        )
    )
    add_opened(world, entity)
    return entity


def prepare(world: World, key: EntityKey) -> Entity:
    """Set `prepared_at` and `diff_refs`, and show one diff; neither `updated_at` nor a hook tells of it."""
    entity = editable(world, key)
    if entity.payload["prepared_at"] is not None:
        raise EditError(f"{key[1]} {key[2]} is prepared already")
    status = {"merge_status": "can_be_merged", "detailed_merge_status": "mergeable"}
    entity.payload |= {"prepared_at": format_instant(world.now())} | status
    if not entity.diffs:
        diff = "@@ -0,0 +1 @@\n+Ask the flight director on loop 2.\n"
        entity.diffs.append(payloads.diff_payload("docs/runbook.md", diff, new_file=True))
    entity.single |= {"diff_refs": diff_refs(entity.payload), "changes_count": str(len(entity.diffs))}
    return entity


def set_approvers(world: World, key: EntityKey, *, usernames: list[str]) -> None:
    """Let exactly these people approve a merge request; hooks tell of each who does now or no longer does."""
    entity = editable(world, key)
    before, after = entity.approved_by, [find_user(world, username) for username in usernames]
    entity.approved_by = after
    touch(world, entity, bump=None)
    project = world.projects[entity.project_id]
    for action, people, others in (("approved", after, before), ("unapproved", before, after)):
        for user in people:
            if user not in others:
                world.announced.append(entity_changed(entity, project, action=action, changes={}, user=user))
