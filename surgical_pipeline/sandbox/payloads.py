"""The shapes of GitLab's answers, one function per kind; every instant is `YYYY-MM-DDTHH:MM:SS.mmmZ`."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from surgical_pipeline.sandbox.model import NOTEABLE_TYPE, Json, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

WEB: Final = "https://gitlab.acme.example"
API: Final = f"{WEB}/api/v4"
_TASK = re.compile(r"^\s*[-*] \[( |x)\] ", re.MULTILINE | re.IGNORECASE)


def sha1(*parts: object) -> str:
    """40 hex digits that depend on the parts alone: commit and discussion ids."""
    return hashlib.sha1("\x1f".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def user_payload(user_id: int, username: str, name: str) -> Json:
    return {
        "id": user_id,
        "username": username,
        "public_email": "",
        "name": name,
        "state": "active",
        "locked": False,
        "avatar_url": f"{WEB}/uploads/-/system/user/avatar/{user_id}/avatar.png",
        "web_url": f"{WEB}/{username}",
    }


def label_payload(label_id: int, name: str, *, color: str, description: str | None) -> Json:
    return {
        "id": label_id,
        "name": name,
        "description": description,
        "description_html": description or "",
        "text_color": "#FFFFFF",
        "color": color,
        "archived": False,
        "subscribed": False,
        "priority": None,
        "is_project_label": True,
    }


def milestone_payload(milestone_id: int, iid: int, *, project: Json, title: str, due: str) -> Json:
    start = f"{due[:5]}{max(int(due[5:7]) - 2, 1):02d}-01"
    return {
        "id": milestone_id,
        "iid": iid,
        "project_id": project["id"],
        "title": title,
        "description": f"Everything that has to be in place for {title}.",
        "state": "closed" if due < "2026-06-01" else "active",
        "created_at": "2026-01-05T08:00:00.000Z",
        "updated_at": f"{start}T08:00:00.000Z",
        "due_date": due,
        "start_date": start,
        "expired": due < "2026-10-01",
        "web_url": f"{project['web_url']}/-/milestones/{iid}",
    }


def task_counts(text: str) -> Json:
    """How many task-list items a description has, and how many are ticked."""
    boxes = [mark.lower() for mark in _TASK.findall(text)]
    return {"count": len(boxes), "completed_count": boxes.count("x")}


def _time_stats() -> Json:
    return {
        "time_estimate": 0,
        "total_time_spent": 0,
        "human_time_estimate": None,
        "human_total_time_spent": None,
    }


def _entity_payload(entity_id: int, iid: int, *, project: Json, author: Json, title: str, text: str) -> Json:
    """What issues and merge requests share; open, without people, labels or milestone."""
    return {
        "id": entity_id,
        "iid": iid,
        "project_id": project["id"],
        "title": title,
        "description": text,
        "state": "opened",
        "created_at": None,
        "updated_at": None,
        "closed_at": None,
        "closed_by": None,
        "labels": [],
        "milestone": None,
        "assignees": [],
        "author": author,
        "assignee": None,
        "user_notes_count": 0,
        "upvotes": 0,
        "downvotes": 0,
        "discussion_locked": None,
        "time_stats": _time_stats(),
        "task_completion_status": task_counts(text),
        "imported": False,
        "imported_from": "none",
    }


def _references(project: Json, mark: str, iid: int) -> Json:
    short = f"{mark}{iid}"
    return {"short": short, "relative": short, "full": f"{project['path_with_namespace']}{short}"}


def issue_payload(entity_id: int, iid: int, *, project: Json, author: Json, title: str, text: str) -> Json:
    """An open issue without labels, milestone or assignees; `created_at` and the rest are set by the caller."""
    tasks, api = task_counts(text), f"{API}/projects/{project['id']}"
    return _entity_payload(entity_id, iid, project=project, author=author, title=title, text=text) | {
        "type": "ISSUE",
        "issue_type": "issue",
        "merge_requests_count": 0,
        "due_date": None,
        "confidential": False,
        "web_url": f"{project['web_url']}/-/issues/{iid}",
        "weight": None,
        "blocking_issues_count": 0,
        "has_tasks": tasks["count"] > 0,
        "task_status": f"{tasks['completed_count']} of {tasks['count']} checklist items completed",
        "_links": {
            "self": f"{api}/issues/{iid}",
            "notes": f"{api}/issues/{iid}/notes",
            "award_emoji": f"{api}/issues/{iid}/award_emoji",
            "project": api,
            "closed_as_duplicate_of": None,
        },
        "references": _references(project, "#", iid),
        "severity": "UNKNOWN",
        "moved_to_id": None,
        "service_desk_reply_to": None,
    }


def merge_request_payload(
    entity_id: int, iid: int, *, project: Json, author: Json, title: str, text: str, source_branch: str
) -> Json:
    """An open merge request into `main`; dates, people, labels and outcome are set by the caller."""
    draft = title.startswith("Draft:")
    return _entity_payload(entity_id, iid, project=project, author=author, title=title, text=text) | {
        "merged_by": None,
        "merge_user": None,
        "merged_at": None,
        "target_branch": "main",
        "source_branch": source_branch,
        "reviewers": [],
        "source_project_id": project["id"],
        "target_project_id": project["id"],
        "draft": draft,
        "work_in_progress": draft,
        "merge_when_pipeline_succeeds": False,
        "merge_status": "can_be_merged",
        "detailed_merge_status": "draft_status" if draft else "mergeable",
        "merge_after": None,
        "sha": sha1(project["path_with_namespace"], iid, "head"),
        "merge_commit_sha": None,
        "squash_commit_sha": None,
        "should_remove_source_branch": None,
        "force_remove_source_branch": True,
        "prepared_at": None,
        "reference": f"!{iid}",
        "references": _references(project, "!", iid),
        "web_url": f"{project['web_url']}/-/merge_requests/{iid}",
        "squash": False,
        "squash_on_merge": False,
        "has_conflicts": False,
        "blocking_discussions_resolved": True,
        "approvals_before_merge": None,
    }


def merge_request_alone(*, changes_count: str | None, diff_refs: Json | None) -> Json:
    """What the answer for a single merge request has beside the row of lists."""
    return {
        "subscribed": False,
        "changes_count": changes_count,
        "latest_build_started_at": None,
        "latest_build_finished_at": None,
        "first_deployed_to_production_at": None,
        "pipeline": None,
        "head_pipeline": None,
        "diff_refs": diff_refs,
        "merge_error": None,
        "first_contribution": False,
        "user": {"can_merge": False},
    }


def note_payload(
    note_id: int, noteable: Json, kind: Kind, *, author: Json, body: str, at: str, system: bool, internal: bool
) -> Json:
    """A note on `noteable` (the payload of its issue or merge request), not resolvable."""
    return {
        "id": note_id,
        "type": None,
        "body": body,
        "attachment": None,
        "author": author,
        "created_at": at,
        "updated_at": at,
        "system": system,
        "noteable_id": noteable["id"],
        "noteable_type": NOTEABLE_TYPE[kind],
        "project_id": noteable["project_id"],
        "resolvable": False,
        "confidential": internal,
        "internal": internal,
        "imported": False,
        "imported_from": "none",
        "noteable_iid": noteable["iid"],
        "commands_changes": {},
    }


def discussion_payload(notes: Sequence[Json], *, individual: bool) -> Json:
    """A thread; its id depends on its first note, as it does in GitLab."""
    first = notes[0]
    identity = sha1("discussion", first["noteable_type"], first["noteable_id"], first["id"])
    return {"id": identity, "individual_note": individual, "notes": list(notes)}


def event_payload(event_id: int, noteable: Json, kind: Kind, *, user: Json, at: str) -> Json:
    """What label, state and milestone events share; the caller adds `label`, `state`, `milestone`, `action`."""
    return {
        "id": event_id,
        "user": user,
        "created_at": at,
        "resource_type": NOTEABLE_TYPE[kind],
        "resource_id": noteable["id"],
    }


def award_payload(award_id: int, noteable: Json, kind: Kind, *, user: Json, name: str, at: str) -> Json:
    return {
        "id": award_id,
        "name": name,
        "user": user,
        "created_at": at,
        "updated_at": at,
        "awardable_id": noteable["id"],
        "awardable_type": NOTEABLE_TYPE[kind],
        "url": None,
    }


def commit_payload(project: Json, *, sha: str, parent: str, title: str, author: Json, at: str) -> Json:
    email = f"{author['username']}@users.noreply.gitlab.acme.example"
    return {
        "id": sha,
        "short_id": sha[:8],
        "created_at": at,
        "parent_ids": [parent],
        "title": title,
        "message": f"{title}\n",
        "author_name": author["name"],
        "author_email": email,
        "authored_date": at,
        "committer_name": author["name"],
        "committer_email": email,
        "committed_date": at,
        "trailers": {},
        "extended_trailers": {},
        "web_url": f"{project['web_url']}/-/commit/{sha}",
    }


def diff_payload(path: str, diff: str, *, new_file: bool) -> Json:
    return {
        "old_path": path,
        "new_path": path,
        "a_mode": "0" if new_file else "100644",
        "b_mode": "100644",
        "new_file": new_file,
        "renamed_file": False,
        "deleted_file": False,
        "generated_file": False,
        "collapsed": False,
        "too_large": False,
        "diff": diff,
    }
