"""The control routes below `/sandbox`: faults, changes to entities, the request log. They need no token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from surgical_pipeline.sandbox import edits, edits_of_merge_requests, edits_of_notes
from surgical_pipeline.sandbox.control_models import (
    AddedNote,
    ApproverSpec,
    AwardSpec,
    Behaviour,
    EntityChange,
    FaultSpec,
    LatencySpec,
    NoteChange,
    NoteSpec,
    ProjectName,
    ProjectSpec,
)
from surgical_pipeline.sandbox.control_requests import project_id_of, read_body, world_of
from surgical_pipeline.sandbox.edits import EditError
from surgical_pipeline.sandbox.hooks.bodies import project_moved
from surgical_pipeline.sandbox.hooks.routes import hook_routes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from surgical_pipeline.sandbox.model import EntityKey, Kind
    from surgical_pipeline.sandbox.traffic import Traffic

_KINDS: dict[str, Kind] = {"issues": "issue", "merge_requests": "merge_request"}


def _traffic(request: Request) -> Traffic:
    traffic: Traffic = request.app.state.traffic
    return traffic


def _key(request: Request) -> EntityKey:
    return (project_id_of(request), _KINDS[request.path_params["plural"]], int(request.path_params["iid"]))


async def add_fault(request: Request) -> Response:
    fault = _traffic(request).faults.add(await read_body(request, FaultSpec))
    return JSONResponse(fault.model_dump(), status_code=201)


async def list_faults(request: Request) -> Response:
    return JSONResponse([fault.model_dump() for fault in _traffic(request).faults.faults])


async def clear_faults(request: Request) -> Response:
    _traffic(request).faults.clear()
    return Response(status_code=204)


async def set_latency(request: Request) -> Response:
    _traffic(request).latency_ms = (await read_body(request, LatencySpec)).latency_ms
    return Response(status_code=204)


async def show_requests(request: Request) -> Response:
    return JSONResponse(_traffic(request).log.view().model_dump())


async def clear_requests(request: Request) -> Response:
    _traffic(request).log.clear()
    return Response(status_code=204)


async def reset(request: Request) -> Response:
    world_of(request).reset()
    _traffic(request).reset()
    request.app.state.hooks.clear()
    return Response(status_code=204)


async def set_behaviour(request: Request) -> Response:
    world_of(request).behaviour = await read_body(request, Behaviour)
    return Response(status_code=204)


async def recreate_project(request: Request) -> Response:
    world = world_of(request)
    old = world.projects[project_id_of(request)]
    new = world.recreate(old.project_id)
    world.announced += [
        project_moved(old, event="project_destroy"),
        project_moved(new, event="project_create"),
    ]
    return JSONResponse(new.payload, status_code=201)


async def rename_project(request: Request) -> Response:
    world, name = world_of(request), (await read_body(request, ProjectName)).name
    old = world.projects[project_id_of(request)]
    if world.find_project(f"{old.payload['namespace']['full_path']}/{name}") is not None:
        raise EditError(f"there is a project {name} beside {old.path}")
    new = world.rename(old.project_id, name)
    world.announced.append(project_moved(new, event="project_rename", old_path=old.path))
    return JSONResponse(new.payload)


async def create_project(request: Request) -> Response:
    world, path = world_of(request), (await read_body(request, ProjectSpec)).path
    if world.find_project(path) is not None:
        raise EditError(f"there is a project {path}")
    project = world.create_project(path)
    world.announced.append(project_moved(project, event="project_create"))
    return JSONResponse(project.payload, status_code=201)


async def create_merge_request(request: Request) -> Response:
    change = await read_body(request, EntityChange)
    world, project_id = world_of(request), project_id_of(request)
    entity = edits_of_merge_requests.create_merge_request(world, project_id, change.fields)
    return JSONResponse(entity.payload | entity.single, status_code=201)


async def prepare(request: Request) -> Response:
    entity = edits_of_merge_requests.prepare(world_of(request), _key(request))
    return JSONResponse(entity.payload | entity.single)


async def create_issue(request: Request) -> Response:
    change = await read_body(request, EntityChange)
    entity = edits.create_issue(world_of(request), project_id_of(request), change.fields)
    return JSONResponse(entity.payload, status_code=201)


async def update_entity(request: Request) -> Response:
    change = await read_body(request, EntityChange)
    entity = edits.update_entity(world_of(request), _key(request), change.fields, bump=change.bump_updated_at)
    return JSONResponse(entity.payload)


async def delete_entity(request: Request) -> Response:
    world, key = world_of(request), _key(request)
    if world.find(*key) is None:
        raise EditError(f"project {key[0]} has no {key[1]} {key[2]}")
    world.vanish(key)
    return Response(status_code=204)


async def restore_entity(request: Request) -> Response:
    world_of(request).restore(_key(request))
    return Response(status_code=204)


async def add_note(request: Request) -> Response:
    spec = await read_body(request, NoteSpec)
    discussion_id, note = edits_of_notes.add_note(
        world_of(request),
        _key(request),
        body=spec.body,
        username=spec.username,
        discussion_id=spec.discussion_id,
        internal=spec.internal,
        bump=spec.bump_updated_at,
    )
    return JSONResponse(AddedNote(discussion_id=discussion_id, note=note).model_dump(), status_code=201)


async def edit_note(request: Request) -> Response:
    change = await read_body(request, NoteChange)
    note_id = int(request.path_params["note_id"])
    return JSONResponse(
        edits_of_notes.edit_note(world_of(request), note_id, body=change.body, bump=change.bump_updated_at)
    )


async def delete_note(request: Request) -> Response:
    edits_of_notes.delete_note(world_of(request), int(request.path_params["note_id"]))
    return Response(status_code=204)


async def add_award(request: Request) -> Response:
    spec = await read_body(request, AwardSpec)
    award = edits_of_notes.add_award(world_of(request), _key(request), name=spec.name, username=spec.username)
    return JSONResponse(award, status_code=201)


async def delete_award(request: Request) -> Response:
    edits_of_notes.delete_award(world_of(request), _key(request), award_id=int(request.path_params["award_id"]))
    return Response(status_code=204)


async def set_approvers(request: Request) -> Response:
    spec = await read_body(request, ApproverSpec)
    edits_of_merge_requests.set_approvers(world_of(request), _key(request), usernames=spec.usernames)
    return Response(status_code=204)


def _guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """What does not fit or cannot be done answers 422 with the reason; hooks tell of what was done."""

    async def endpoint(request: Request) -> Response:
        try:
            answer = await handler(request)
        except (EditError, ValidationError) as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        world = world_of(request)
        announced, world.announced = world.announced, []
        request.app.state.hooks.announce(announced)
        return answer

    return endpoint


def control_routes() -> list[Route]:
    """Every control route; `plural` is `issues` or `merge_requests`."""
    table: list[tuple[str, str, Callable[[Request], Awaitable[Any]]]] = [
        ("POST", "/faults", add_fault),
        ("GET", "/faults", list_faults),
        ("DELETE", "/faults", clear_faults),
        ("POST", "/latency", set_latency),
        ("GET", "/requests", show_requests),
        ("DELETE", "/requests", clear_requests),
        ("POST", "/reset", reset),
        ("POST", "/behaviour", set_behaviour),
        ("POST", "/projects", create_project),
        ("POST", "/project/recreate", recreate_project),
        ("POST", "/project/rename", rename_project),
        ("POST", "/issues", create_issue),
        ("POST", "/merge_requests", create_merge_request),
        ("POST", "/merge_requests/{iid:int}/prepare", _bound(prepare, "merge_requests")),
        ("PATCH", "/notes/{note_id:int}", edit_note),
        ("DELETE", "/notes/{note_id:int}", delete_note),
        ("PUT", "/merge_requests/{iid:int}/approvals", _bound(set_approvers, "merge_requests")),
    ]
    for plural in _KINDS:
        table += [
            ("POST", f"/{plural}/{{iid:int}}", _bound(update_entity, plural)),
            ("DELETE", f"/{plural}/{{iid:int}}", _bound(delete_entity, plural)),
            ("POST", f"/{plural}/{{iid:int}}/restore", _bound(restore_entity, plural)),
            ("POST", f"/{plural}/{{iid:int}}/notes", _bound(add_note, plural)),
            ("POST", f"/{plural}/{{iid:int}}/award_emoji", _bound(add_award, plural)),
            ("DELETE", f"/{plural}/{{iid:int}}/award_emoji/{{award_id:int}}", _bound(delete_award, plural)),
        ]
    table += hook_routes()
    return [Route(f"/sandbox{path}", _guarded(handler), methods=[method]) for method, path, handler in table]


def _bound(
    handler: Callable[[Request], Awaitable[Response]], plural: str
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.path_params["plural"] = plural
        return await handler(request)

    return endpoint
