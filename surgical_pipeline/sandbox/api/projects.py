"""The instance, the token's owner, groups, and projects with their labels and milestones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from surgical_pipeline.sandbox.api.call import json_response
from surgical_pipeline.sandbox.api.paging import offset_page
from surgical_pipeline.sandbox.model import render

if TYPE_CHECKING:
    from starlette.responses import Response

    from surgical_pipeline.sandbox.api.call import Call

VERSION: Final = "18.5.2"
ANY_SCOPE: Final = frozenset({"api", "read_api", "read_user", "read_repository"})


def show_version(_call: Call) -> Response:
    kas = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    return json_response({"version": VERSION, "revision": "5ac2f4b9d1e", "kas": kas, "enterprise": False})


def show_user(call: Call) -> Response:
    user = call.viewer.user
    return json_response(
        user
        | {
            "created_at": "2026-01-05T08:00:00.000Z",
            "bio": "",
            "bot": False,
            "email": f"{user['username']}@acme.example",
            "two_factor_enabled": True,
            "external": False,
            "private_profile": False,
            "can_create_group": False,
            "can_create_project": False,
        }
    )


def show_token(call: Call) -> Response:
    viewer = call.viewer
    return json_response(
        {
            "id": viewer.token_id,
            "name": viewer.token_name,
            "revoked": False,
            "created_at": "2026-01-05T08:00:00.000Z",
            "description": None,
            "scopes": list(viewer.scopes),
            "user_id": viewer.user["id"],
            "last_used_at": "2026-10-31T12:00:00.000Z",
            "active": True,
            "expires_at": "2027-01-05",
        }
    )


def show_group(call: Call) -> Response:
    group = call.group()
    names = " / ".join(group["full_path"].split("/"))
    more = {
        "full_name": names,
        "description": "",
        "visibility": "internal",
        "created_at": "2026-01-05T08:00:00.000Z",
    }
    return json_response(group | more)


def show_project(call: Call) -> Response:
    project = call.project()
    access = {"access_level": call.viewer.levels[project.project_id], "notification_level": 3}
    return json_response(project.payload | {"permissions": {"project_access": access, "group_access": None}})


def list_projects(call: Call) -> Response:
    """The projects that the viewer is a member of, whatever the other parameters."""
    rows = [
        project.payload for project in call.world.projects.values() if project.project_id in call.viewer.levels
    ]
    return offset_page(call, rows, render)


def list_labels(call: Call) -> Response:
    return offset_page(call, sorted(call.project().labels.values(), key=lambda label: str(label["name"])), render)


def list_milestones(call: Call) -> Response:
    return offset_page(call, call.project().milestones[::-1], render)
