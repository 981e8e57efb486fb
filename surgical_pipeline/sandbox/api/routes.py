"""Every route of the REST API that the embedded GitLab serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgical_pipeline.sandbox.api import dependents, projects
from surgical_pipeline.sandbox.api.call import api_route
from surgical_pipeline.sandbox.api.lists import (
    list_group_issues,
    list_group_merge_requests,
    list_issues,
    list_merge_requests,
)

if TYPE_CHECKING:
    from starlette.routing import Route

    from surgical_pipeline.sandbox.model import Kind

_PLURAL: dict[str, Kind] = {"issues": "issue", "merge_requests": "merge_request"}
_SHARED_ROWS = (
    "discussions",
    "resource_label_events",
    "resource_state_events",
    "resource_milestone_events",
    "award_emoji",
)


def api_routes() -> list[Route]:
    """The routes below `/api/v4`; `{project}` and `{group}` are an id or a path with its slashes still encoded."""
    project = "/projects/{project}"
    routes = [
        api_route("/version", projects.show_version, scopes=frozenset({"api", "read_api", "read_user"})),
        api_route("/user", projects.show_user, scopes=frozenset({"api", "read_api", "read_user"})),
        api_route("/personal_access_tokens/self", projects.show_token, scopes=projects.ANY_SCOPE),
        api_route("/projects", projects.list_projects),
        api_route(project, projects.show_project),
        api_route(f"{project}/labels", projects.list_labels),
        api_route(f"{project}/milestones", projects.list_milestones),
        api_route(f"{project}/issues", list_issues),
        api_route(f"{project}/merge_requests", list_merge_requests),
        api_route("/groups/{group}", projects.show_group),
        api_route("/groups/{group}/issues", list_group_issues),
        api_route("/groups/{group}/merge_requests", list_group_merge_requests),
    ]
    for plural, kind in _PLURAL.items():
        base = f"{project}/{plural}/{{iid}}"
        routes += [api_route(f"{base}/{name}", dependents.show_rows(kind, name)) for name in _SHARED_ROWS]
        routes += [
            api_route(base, dependents.show(kind)),
            api_route(f"{base}/notes", dependents.show_notes(kind)),
            api_route(f"{base}/notes/{{note_id}}", dependents.show_note(kind)),
            api_route(f"{base}/discussions/{{discussion_id}}", dependents.show_discussion(kind)),
        ]
    issue, change = f"{project}/issues/{{iid}}", f"{project}/merge_requests/{{iid}}"
    routes += [
        api_route(f"{issue}/links", dependents.issue_links),
        api_route(f"{issue}/closed_by", dependents.closed_by),
        api_route(f"{issue}/related_merge_requests", dependents.related_merge_requests),
        api_route(f"{change}/closes_issues", dependents.closes_issues),
        api_route(f"{change}/commits", dependents.show_rows("merge_request", "commits")),
        api_route(f"{change}/diffs", dependents.show_rows("merge_request", "diffs")),
        api_route(f"{change}/approvals", dependents.approvals),
    ]
    return routes
