"""The bodies of GitLab's hooks. Instants are as in the REST API; `in_style` writes them as hooks do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from surgical_pipeline.sandbox.model import NOTEABLE_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from surgical_pipeline.sandbox.hooks.models import HookEvent
    from surgical_pipeline.sandbox.model import Entity, Json, Project

Trigger: TypeAlias = "HookEvent | Literal['project']"

_STATE_IDS: Final = {"opened": 1, "closed": 2, "merged": 3, "locked": 4}
_VISIBILITY_LEVELS: Final = {"private": 0, "internal": 10, "public": 20}
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_SHARED_ATTRIBUTES: Final = ("id", "iid", "title", "description", "state", "created_at", "updated_at")
_ISSUE_ATTRIBUTES: Final = ("closed_at", "confidential", "discussion_locked", "due_date", "moved_to_id", "weight")
_CHANGE_ATTRIBUTES: Final = (
    "target_branch",
    "source_branch",
    "source_project_id",
    "target_project_id",
    "draft",
    "work_in_progress",
    "merge_status",
    "detailed_merge_status",
    "merge_commit_sha",
    "blocking_discussions_resolved",
    "prepared_at",
)
_NEVER_SET: Final[Json] = {
    "last_edited_at": None,
    "last_edited_by_id": None,
    "updated_by_id": None,
    "time_change": 0,
    "time_estimate": 0,
    "total_time_spent": 0,
    "human_time_change": None,
    "human_time_estimate": None,
    "human_total_time_spent": None,
}
"""What people never do in a sandbox."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a hook says of one edit, and which tick in GitLab lets it."""

    trigger: Trigger
    project: Project
    body: Json


def in_style(value: Any, style: Literal["utc", "iso", "offset"]) -> Any:
    """The body with every instant in one of the forms that hooks use."""
    if isinstance(value, dict):
        return {name: in_style(inner, style) for name, inner in value.items()}
    if isinstance(value, list):
        return [in_style(inner, style) for inner in value]
    if style == "iso" or not isinstance(value, str) or not _INSTANT.fullmatch(value):
        return value
    moment = datetime.fromisoformat(value)
    if style == "utc":
        return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return f"{moment.astimezone(timezone(timedelta(hours=-7))):%Y-%m-%d %H:%M:%S %z}"


def entity_changed(
    entity: Entity, project: Project, *, action: str, changes: Json, user: Json | None = None
) -> Announcement:
    """Opened, updated, closed, merged …; `changes` are `{name: {previous, current}}`. By its author by default."""
    kind = _object_kind(entity)
    secret = "confidential_" if entity.confidential else ""
    body = {
        "object_kind": kind,
        "event_type": f"{secret}{kind}",
        "user": _user(user or entity.payload["author"]),
        "project": _project(project),
        "object_attributes": _attributes(entity, project) | {"action": action},
        "labels": labels_in_hooks(project, entity.payload["labels"]),
        "changes": changes,
        "repository": _repository(project),
        "assignees": [_user(one) for one in entity.payload["assignees"]],
    }
    if entity.kind == "merge_request":
        body["reviewers"] = [_user(one) for one in entity.payload["reviewers"]]
        return Announcement("merge_requests", project, body)
    return Announcement("confidential_issues" if secret else "issues", project, body)


def note_written(
    entity: Entity, project: Project, *, note: Json, discussion_id: str, action: str | None
) -> Announcement:
    """A note that was added (`create`) or edited (`update`); before GitLab 16.11 there is no `action`."""
    secret = note["internal"] or entity.confidential
    attributes = {
        "id": note["id"],
        "note": note["body"],
        "description": note["body"],
        "noteable_type": NOTEABLE_TYPE[entity.kind],
        "noteable_id": entity.payload["id"],
        "project_id": project.project_id,
        "author_id": note["author"]["id"],
        "created_at": note["created_at"],
        "updated_at": note["updated_at"],
        "discussion_id": discussion_id,
        "type": note["type"],
        "system": False,
        "internal": note["internal"],
        "attachment": None,
        "commit_id": None,
        "line_code": None,
        "st_diff": None,
        "url": f"{_address(entity)}#note_{note['id']}",
    }
    body = {
        "object_kind": "note",
        "event_type": "confidential_note" if secret else "note",
        "user": _user(note["author"]),
        "project_id": project.project_id,
        "project": _project(project),
        "object_attributes": attributes | ({"action": action} if action else {}),
        "repository": _repository(project),
        entity.kind: _attributes(entity, project),
    }
    return Announcement("confidential_note" if secret else "note", project, body)


def emoji_moved(
    entity: Entity, project: Project, *, award: Json, event: Literal["award", "revoke"]
) -> Announcement:
    """An emoji on an entity; an issue stands under `work_item`, not under `issue`."""
    attributes = {name: award[name] for name in ("id", "name", "created_at", "updated_at", "awardable_type")}
    body = {
        "object_kind": "emoji",
        "event_type": event,
        "user": _user(award["user"]),
        "project_id": project.project_id,
        "project": _project(project),
        "object_attributes": attributes
        | {
            "user_id": award["user"]["id"],
            "awardable_id": entity.payload["id"],
            "action": event,
            "awarded_on_url": _address(entity),
        },
        "work_item" if entity.kind == "issue" else "merge_request": _attributes(entity, project),
    }
    return Announcement("emoji", project, body)


def project_moved(
    project: Project,
    *,
    event: Literal["project_create", "project_destroy", "project_rename"],
    old_path: str | None = None,
) -> Announcement:
    """What system hooks say of a project; it has `event_name` and no `object_kind`."""
    body = {
        "event_name": event,
        "created_at": project.payload["created_at"],
        "updated_at": project.payload["updated_at"],
        "name": project.payload["name"],
        "path": project.payload["path"],
        "path_with_namespace": project.path,
        "project_id": project.project_id,
        "owners": [],
        "project_visibility": project.payload["visibility"],
    }
    if old_path is not None:
        body["old_path_with_namespace"] = old_path
    return Announcement("project", project, body)


def changes_between(before: Json, after: Json, *, project: Project) -> Json:
    """`changes` as in hooks: what differs, under the names and in the shapes that hooks give."""
    changes = {}
    for name, current in after.items():
        previous = before.get(name)
        if previous != current:
            shown, shape = _SHAPES.get(name, (name, lambda value, _project: value))
            changes[shown] = {"previous": shape(previous, project), "current": shape(current, project)}
    return changes


def labels_in_hooks(project: Project, names: Sequence[str]) -> list[Json]:
    found = []
    for name in names:
        label = project.detailed_label(name)
        found.append(
            {
                "id": label["id"],
                "title": name,
                "color": label["color"],
                "project_id": project.project_id,
                "created_at": project.payload["created_at"],
                "updated_at": project.payload["created_at"],
                "template": False,
                "description": label["description"],
                "type": "ProjectLabel",
                "group_id": None,
            }
        )
    return found


def _attributes(entity: Entity, project: Project) -> Json:
    payload = entity.payload
    names = _CHANGE_ATTRIBUTES if entity.kind == "merge_request" else _ISSUE_ATTRIBUTES
    people = [person["id"] for person in payload["assignees"]]
    attributes = (
        _NEVER_SET
        | {name: payload[name] for name in (*_SHARED_ATTRIBUTES, *names)}
        | {
            "author_id": payload["author"]["id"],
            "assignee_id": people[0] if people else None,
            "assignee_ids": people,
            "labels": labels_in_hooks(project, payload["labels"]),
            "milestone_id": payload["milestone"]["id"] if payload["milestone"] else None,
            "state_id": _STATE_IDS.get(payload["state"]),
            "url": _address(entity),
        }
    )
    if entity.kind == "merge_request":
        commit = {"id": payload["sha"], "title": payload["title"], "url": f"{project.payload['web_url']}/-/commit"}
        sides = {"source": _project(project), "target": _project(project)}
        return attributes | sides | {"last_commit": commit}
    more = {"duplicated_to_id": None, "relative_position": 0, "severity": "unknown"}
    return (
        attributes
        | more
        | {"project_id": project.project_id, "type": payload["issue_type"].replace("_", " ").title()}
    )


def _object_kind(entity: Entity) -> str:
    if entity.kind == "merge_request":
        return "merge_request"
    return "issue" if entity.payload["issue_type"] == "issue" else "work_item"


def _address(entity: Entity) -> str:
    """A task's page is a work item's."""
    address = str(entity.payload["web_url"])
    return address.replace("/-/issues/", "/-/work_items/") if _object_kind(entity) == "work_item" else address


def _user(user: Json) -> Json:
    return {name: user.get(name) for name in ("id", "name", "username", "avatar_url")} | {"email": "[REDACTED]"}


def _project(project: Project) -> Json:
    payload = project.payload
    ssh, http, web = payload["ssh_url_to_repo"], payload["http_url_to_repo"], payload["web_url"]
    return {
        "id": project.project_id,
        "name": payload["name"],
        "description": payload["description"],
        "web_url": web,
        "avatar_url": None,
        "git_ssh_url": ssh,
        "git_http_url": http,
        "namespace": payload["namespace"]["name"],
        "visibility_level": _VISIBILITY_LEVELS[payload["visibility"]],
        "path_with_namespace": project.path,
        "default_branch": payload["default_branch"],
        "ci_config_path": None,
        "homepage": web,
        "url": ssh,
        "ssh_url": ssh,
        "http_url": http,
    }


def _repository(project: Project) -> Json:
    payload = project.payload
    return {
        "name": payload["name"],
        "url": payload["ssh_url_to_repo"],
        "description": payload["description"],
        "homepage": payload["web_url"],
    }


def _people(people: list[Json] | None, _project: Project) -> list[Json]:
    return [_user(one) for one in people or []]


_SHAPES: Final[dict[str, tuple[str, Any]]] = {
    "state": ("state_id", lambda state, _project: _STATE_IDS.get(state)),
    "labels": ("labels", lambda names, project: labels_in_hooks(project, names or [])),
    "milestone": ("milestone_id", lambda milestone, _project: milestone and milestone["id"]),
    "assignees": ("assignees", _people),
    "reviewers": ("reviewers", _people),
}
