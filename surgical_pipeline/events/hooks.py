"""From a hook's headers and body to the issue or merge request that it announces.

Bodies differ by GitLab's version, by kind of hook and by what an administrator's template makes of them, so only
three things are needed: ``object_kind``, a project id and an IID. A hook is a hint: what changed is fetched later.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from surgical_pipeline.domain.scope import MAX_IID, EntityKey, EntityType, Scope, ScopeError
from surgical_pipeline.events.event import GitLabEvent, Ignored

_Hook = Mapping[str, Any]

MAX_ID = 2**63 - 1
"""GitLab's ids are 64-bit integers."""

_KEY = re.compile(r"[!-~]{1,255}")
_KEY_HEADERS = ("webhook-id", "idempotency-key")
_ISSUE_PARTS = ("work_item", "issue")
"""Where a note or an emoji names its issue; GitLab's versions differ, and send an emoji's as ``work_item``."""

_NOTEABLES = {
    "Issue": (EntityType.ISSUE, _ISSUE_PARTS),
    "WorkItem": (EntityType.ISSUE, _ISSUE_PARTS),
    "MergeRequest": (EntityType.MERGE_REQUEST, ("merge_request",)),
}
_UNINTERESTING = frozenset(
    {
        "access_token",
        "build",
        "deployment",
        "feature_flag",
        "milestone",
        "pipeline",
        "push",
        "release",
        "repository_update",
        "tag_push",
        "vulnerability",
        "wiki_page",
    }
)
_TEMPLATE = "Most likely the hook has a custom webhook template: remove it in GitLab"
_UTC = re.compile(r"\s*UTC$")
_ZONE_APART = re.compile(r"\s+([+-]\d\d:?\d\d)$")


@dataclass(frozen=True, slots=True)
class Refused:
    """A delivery that no GitLab sends; ``reason`` is a sentence for the log, without anything from the body."""

    reason: str


def read_hook(
    headers: Mapping[str, str],
    body: bytes,
    *,
    received_at: datetime,
    sent_at: datetime | None = None,
    new_key: Callable[[], str],
) -> GitLabEvent | Ignored | Refused:
    """What a delivery announces. Never raises, whatever the body is.

    Args:
        headers: by lower-case name.
        body: as received; only its size was checked.
        received_at: by the receiver's clock, in UTC.
        sent_at: when GitLab sent it, if its signature was verified.
        new_key: gives a random key, for deliveries that carry none.
    """
    try:
        hook = json.loads(body)
    except (ValueError, RecursionError):  # no UTF-8, no JSON, numbers of thousands of digits, too many brackets
        return Refused("the body is not JSON")
    if not isinstance(hook, dict):
        return Ignored(f"the body is no JSON object. {_TEMPLATE}")
    entity = _entity_of(hook)
    if isinstance(entity, Ignored):
        return entity
    project_id = _project_id_of(hook, entity)
    if project_id is None:
        return _without_project(hook)
    return GitLabEvent(
        key=_key_of(headers) or new_key(),
        kind=hook["object_kind"],
        project_id=project_id,
        project_path=_project_path_of(hook),
        entity=entity,
        received_at=received_at,
        sent_at=sent_at,
        occurred_at=read_time(_part(hook, "object_attributes").get("updated_at")),
    )


def read_time(value: object) -> datetime | None:
    """A moment in UTC from ISO, ``2015-05-17 17:06:40 UTC`` or ``… -0700``; None if it cannot be read."""
    if not isinstance(value, str):
        return None
    text = _ZONE_APART.sub(r"\1", _UTC.sub("+00:00", value.strip()))
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _key_of(headers: Mapping[str, str]) -> str | None:
    """GitLab's own key of the delivery. A value that it would not send is no key."""
    given = (headers.get(name, "") for name in _KEY_HEADERS)
    return next((key for key in given if _KEY.fullmatch(key)), None)


def _entity_of(hook: _Hook) -> EntityKey | Ignored:
    kind = hook.get("object_kind")
    if not isinstance(kind, str):
        return _without_kind(hook)
    if kind in _READERS:
        return _READERS[kind](hook)
    if kind in _UNINTERESTING:
        return Ignored(f"the hook works, but {kind} events ask for nothing here")
    return Ignored("its object_kind is none that asks for anything here")


def _of_issue(hook: _Hook) -> EntityKey | Ignored:
    return _keyed(EntityType.ISSUE, _part(hook, "object_attributes"))


def _of_merge_request(hook: _Hook) -> EntityKey | Ignored:
    return _keyed(EntityType.MERGE_REQUEST, _part(hook, "object_attributes"))


def _of_note(hook: _Hook) -> EntityKey | Ignored:
    noteable = _part(hook, "object_attributes").get("noteable_type")
    if not isinstance(noteable, str) or noteable not in _NOTEABLES:
        return Ignored("a note on something else than an issue or merge request")
    return _named_in(hook, *_NOTEABLES[noteable])


def _of_emoji(hook: _Hook) -> EntityKey | Ignored:
    for entity_type, parts in _NOTEABLES.values():
        if any(_part(hook, name) for name in parts):
            return _named_in(hook, entity_type, parts)
    return Ignored("an emoji on something else than an issue or merge request")


_READERS: Mapping[str, Callable[[_Hook], EntityKey | Ignored]] = {
    "issue": _of_issue,
    "confidential_issue": _of_issue,
    "work_item": _of_issue,
    "merge_request": _of_merge_request,
    "note": _of_note,
    "confidential_note": _of_note,
    "emoji": _of_emoji,
}


def _named_in(hook: _Hook, entity_type: EntityType, parts: tuple[str, ...]) -> EntityKey | Ignored:
    return _keyed(entity_type, next((part for name in parts if (part := _part(hook, name))), {}))


def _keyed(entity_type: EntityType, part: Mapping[str, Any]) -> EntityKey | Ignored:
    iid = _whole(part.get("iid"), up_to=MAX_IID)
    if iid is None:
        what = entity_type.value.replace("_", " ")
        return Ignored(f"it names no {what} by an IID. {_TEMPLATE}")
    return EntityKey(entity_type, iid)


def _project_id_of(hook: _Hook, entity: EntityKey) -> int | None:
    """Older hooks have no ``project.id``. A merge request's project is the one that it is to be merged into."""
    attributes = _part(hook, "object_attributes")
    own = "target_project_id" if entity.entity_type is EntityType.MERGE_REQUEST else "project_id"
    given = (_part(hook, "project").get("id"), hook.get("project_id"), attributes.get(own))
    return next((number for one in given if (number := _whole(one, up_to=MAX_ID)) is not None), None)


def _project_path_of(hook: _Hook) -> str | None:
    path = _part(hook, "project").get("path_with_namespace")
    try:
        return Scope.of(path, issue_iids=[1]).project if isinstance(path, str) and "/" in path else None
    except ScopeError:
        return None


def _without_project(hook: _Hook) -> Ignored:
    if hook.get("project") is None and hook.get("project_id") is None:
        return Ignored("it belongs to no project: an epic, or another item of a group")
    return Ignored(f"it names no project by its id. {_TEMPLATE}")


def _without_kind(hook: _Hook) -> Ignored:
    if isinstance(hook.get("event_name"), str):
        return Ignored("a system hook about something else than a merge request, such as a rename")
    return Ignored(f"the body has no object_kind. {_TEMPLATE}")


def _part(hook: _Hook, name: str) -> Mapping[str, Any]:
    part = hook.get(name)
    return part if isinstance(part, dict) else {}


def _whole(value: object, *, up_to: int) -> int | None:
    """A positive integer; JSON's ``true`` and texts are none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= up_to else None
