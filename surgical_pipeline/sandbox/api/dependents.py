"""Dependents of an issue or a merge request: threads, events, links, commits, diffs, approvals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from surgical_pipeline.sandbox.api import params as read
from surgical_pipeline.sandbox.api.call import json_response
from surgical_pipeline.sandbox.api.errors import not_found
from surgical_pipeline.sandbox.api.fragments import collection, list_fragment, single_fragment
from surgical_pipeline.sandbox.api.paging import offset_page, whole_list
from surgical_pipeline.sandbox.model import Entity, IssueLink, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from surgical_pipeline.sandbox.api.call import Call, Handler
    from surgical_pipeline.sandbox.model import EntityKey, Kind


def show(kind: Kind) -> Handler:
    """`GET /projects/:id/issues/:iid` and its counterpart for merge requests."""
    return lambda call: Response(single_fragment(call.entity(kind)), media_type="application/json")


def show_rows(kind: Kind, name: str) -> Handler:
    """A collection that is stored with its entity, oldest first."""

    def handler(call: Call) -> Response:
        entity = call.entity(kind)
        everything = call.viewer.reads_confidential(entity.project_id)
        return offset_page(call, collection(entity, name, everything=everything), _same)

    return handler


def show_notes(kind: Kind) -> Handler:
    """The notes, newest first unless `sort=asc`."""

    def handler(call: Call) -> Response:
        entity = call.entity(kind)
        read.choice(call.params, "order_by", allowed=("created_at", "updated_at"), default="created_at")
        descending = read.choice(call.params, "sort", allowed=("asc", "desc"), default="desc") == "desc"
        rows = collection(entity, "notes", everything=call.viewer.reads_confidential(entity.project_id))
        return offset_page(call, rows[::-1] if descending else rows, _same)

    return handler


def show_note(kind: Kind) -> Handler:
    def handler(call: Call) -> Response:
        entity = call.entity(kind)
        wanted = call.number("note_id", shown_as="note_id")
        everything = call.viewer.reads_confidential(entity.project_id)
        for note in entity.notes():
            if note["id"] == wanted and (everything or not note["internal"]):
                return json_response(note)
        raise not_found("Note")

    return handler


def show_discussion(kind: Kind) -> Handler:
    def handler(call: Call) -> Response:
        entity = call.entity(kind)
        rows = collection(entity, "discussions", everything=call.viewer.reads_confidential(entity.project_id))
        for discussion, row in zip(entity.discussions, rows, strict=True):
            if discussion["id"] == call.path["discussion_id"] and row is not None:
                return Response(row, media_type="application/json")
        raise not_found("Discussion")

    return handler


def issue_links(call: Call) -> Response:
    """`GET …/issues/:iid/links`: the linked issues as seen from this one, all at once."""
    entity = call.entity("issue")

    def fragment(link: IssueLink) -> bytes | None:
        outgoing = link.source == entity.key
        other = call.world.find(*(link.target if outgoing else link.source))
        if other is None or other.project_id not in call.viewer.levels or not call.sees(other):
            return None
        inverse = "is_blocked_by" if link.link_type == "blocks" else link.link_type
        relation = {
            "issue_link_id": link.link_id,
            "link_type": link.link_type if outgoing else inverse,
            "link_created_at": link.created_at,
            "link_updated_at": link.created_at,
        }
        return render(other.payload | relation)

    return whole_list(call.world.links_of(entity.key), fragment)


def closed_by(call: Call) -> Response:
    """`GET …/issues/:iid/closed_by`: the merge requests that close this issue when merged."""
    return _others(call, "issue", call.world.closed_by)


def related_merge_requests(call: Call) -> Response:
    """`GET …/issues/:iid/related_merge_requests`: those that mention this issue in a note or description."""
    return _others(call, "issue", call.world.related_merge_requests)


def closes_issues(call: Call) -> Response:
    """`GET …/merge_requests/:iid/closes_issues`."""
    return _others(call, "merge_request", call.world.closes_issues)


def _others(call: Call, kind: Kind, find: Callable[[EntityKey], list[Entity]]) -> Response:
    entity = call.entity(kind)
    project = call.project()

    def fragment(other: Entity) -> bytes | None:
        return list_fragment(other, project, details=False) if call.sees(other) else None

    return offset_page(call, find(entity.key), fragment)


def approvals(call: Call) -> Response:
    """`GET …/merge_requests/:iid/approvals`."""
    entity = call.entity("merge_request")
    fields = (
        "id",
        "iid",
        "project_id",
        "title",
        "description",
        "state",
        "created_at",
        "updated_at",
        "merge_status",
    )
    me = call.viewer.user["id"]
    return json_response(
        {name: entity.payload[name] for name in fields}
        | {
            "approved": bool(entity.approved_by),
            "approvals_required": 1,
            "approvals_left": 0 if entity.approved_by else 1,
            "require_password_to_approve": False,
            "approved_by": [
                {"user": user, "approved_at": entity.payload["updated_at"]} for user in entity.approved_by
            ],
            "suggested_approvers": [],
            "approvers": [],
            "approver_groups": [],
            "user_has_approved": any(user["id"] == me for user in entity.approved_by),
            "user_can_approve": False,
            "approval_rules_left": [],
            "has_approval_rules": True,
            "merge_request_approvers_available": False,
            "multiple_approval_rules_available": False,
            "invalid_approvers_rules": [],
        }
    )


def _same(fragment: bytes | None) -> bytes | None:
    return fragment
