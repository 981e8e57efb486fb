"""The control routes about hooks."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response

from surgical_pipeline.sandbox.control_requests import project_id_of, read_body, world_of
from surgical_pipeline.sandbox.edits import EditError
from surgical_pipeline.sandbox.hooks.bodies import Announcement, entity_changed, note_written
from surgical_pipeline.sandbox.hooks.models import HookSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from surgical_pipeline.sandbox.hooks.board import Hook, HookBoard
    from surgical_pipeline.sandbox.model import Kind
    from surgical_pipeline.sandbox.world import World

_TESTED: Final[dict[str, Kind]] = {"issues": "issue", "merge_requests": "merge_request", "note": "issue"}


def _board(request: Request) -> HookBoard:
    board: HookBoard = request.app.state.hooks
    return board


def _hook(request: Request) -> Hook:
    hook_id = int(request.path_params["hook_id"])
    hook = _board(request).hooks.get(hook_id)
    if hook is None:
        raise EditError(f"no hook {hook_id}")
    return hook


async def add_hook(request: Request) -> Response:
    spec = await read_body(request, HookSpec)
    project_id = project_id_of(request) if spec.kind == "project" else None
    return JSONResponse(_board(request).add(spec, project_id=project_id).model_dump(), status_code=201)


async def list_hooks(request: Request) -> Response:
    board = _board(request)
    return JSONResponse([board.view(hook).model_dump() for hook in board.hooks.values()])


async def clear_hooks(request: Request) -> Response:
    _board(request).clear()
    return Response(status_code=204)


async def list_deliveries(request: Request) -> Response:
    return JSONResponse([delivery.model_dump() for delivery in _board(request).deliveries])


async def enable_hook(request: Request) -> Response:
    _hook(request).succeeded()
    return Response(status_code=204)


async def test_hook(request: Request) -> Response:
    """Send what GitLab's button *Test* sends: a real entity of the project, without an action."""
    hook, world = _hook(request), world_of(request)
    event = request.query_params.get("event", "issues")
    if event not in _TESTED:
        raise EditError(f"choose one of {', '.join(_TESTED)} to test, not {event}")
    project_id = hook.project_id or next(iter(world.projects))
    announcement = _example(world, project_id, event)
    _board(request).send(hook, announcement, event_uuid=str(uuid.uuid4()))
    return Response(status_code=204)


def _example(world: World, project_id: int, event: str) -> Announcement:
    project = world.projects[project_id]
    entities = world.ordered(project_id, _TESTED[event], order_by="created_at", descending=False)
    entity = next((one for one in entities if event != "note" or one.discussions), None)
    if entity is None:
        raise EditError(f"{project.path} has nothing to test the hook with")
    if event == "note":
        discussion = entity.discussions[0]
        return note_written(
            entity, project, note=discussion["notes"][0], discussion_id=discussion["id"], action=None
        )
    sent = entity_changed(entity, project, action="", changes={})
    del sent.body["object_attributes"]["action"]
    return sent


def hook_routes() -> list[tuple[str, str, Callable[[Request], Awaitable[Any]]]]:
    """Method, path below `/sandbox` and handler of each."""
    return [
        ("POST", "/hooks", add_hook),
        ("GET", "/hooks", list_hooks),
        ("DELETE", "/hooks", clear_hooks),
        ("GET", "/hooks/deliveries", list_deliveries),
        ("POST", "/hooks/{hook_id:int}/enable", enable_hook),
        ("POST", "/hooks/{hook_id:int}/test", test_hook),
    ]
