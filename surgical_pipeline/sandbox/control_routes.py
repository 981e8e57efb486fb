"""The control routes below `/sandbox`: faults, changes to entities, the request log. They need no token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from surgical_pipeline.sandbox import edits
from surgical_pipeline.sandbox.control_models import (
    AddedNote,
    ApproverSpec,
    AwardSpec,
    EntityChange,
    FaultSpec,
    LatencySpec,
    NoteChange,
    NoteSpec,
)
from surgical_pipeline.sandbox.edits import EditError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from surgical_pipeline.sandbox.model import EntityKey, Kind
    from surgical_pipeline.sandbox.traffic import Traffic
    from surgical_pipeline.sandbox.world import World

    ModelT = TypeVar("ModelT", bound=BaseModel)

_KINDS: dict[str, Kind] = {"issues": "issue", "merge_requests": "merge_request"}


async def _body(request: Request, model: type[ModelT]) -> ModelT:
    return model.model_validate_json(await request.body() or b"{}")


def _world(request: Request) -> World:
    world: World = request.app.state.world
    return world


def _traffic(request: Request) -> Traffic:
    traffic: Traffic = request.app.state.traffic
    return traffic


def _project_id(request: Request) -> int:
    """The project named in the query (id or path), else the sample's first one."""
    world = _world(request)
    ident = request.query_params.get("project")
    project = world.find_project(ident) if ident else next(iter(world.projects.values()))
    if project is None:
        raise EditError(f"no project {ident}")
    return project.project_id


def _key(request: Request) -> EntityKey:
    return (_project_id(request), _KINDS[request.path_params["plural"]], int(request.path_params["iid"]))


async def add_fault(request: Request) -> Response:
    fault = _traffic(request).faults.add(await _body(request, FaultSpec))
    return JSONResponse(fault.model_dump(), status_code=201)


async def list_faults(request: Request) -> Response:
    return JSONResponse([fault.model_dump() for fault in _traffic(request).faults.faults])


async def clear_faults(request: Request) -> Response:
    _traffic(request).faults.clear()
    return Response(status_code=204)


async def set_latency(request: Request) -> Response:
    _traffic(request).latency_ms = (await _body(request, LatencySpec)).latency_ms
    return Response(status_code=204)


async def show_requests(request: Request) -> Response:
    return JSONResponse(_traffic(request).log.view().model_dump())


async def clear_requests(request: Request) -> Response:
    _traffic(request).log.clear()
    return Response(status_code=204)


async def reset(request: Request) -> Response:
    _world(request).reset()
    _traffic(request).reset()
    return Response(status_code=204)


async def recreate_project(request: Request) -> Response:
    return JSONResponse(_world(request).recreate(_project_id(request)).payload, status_code=201)


async def create_issue(request: Request) -> Response:
    change = await _body(request, EntityChange)
    entity = edits.create_issue(_world(request), _project_id(request), change.fields)
    return JSONResponse(entity.payload, status_code=201)


async def update_entity(request: Request) -> Response:
    change = await _body(request, EntityChange)
    entity = edits.update_entity(_world(request), _key(request), change.fields, bump=change.bump_updated_at)
    return JSONResponse(entity.payload)


async def delete_entity(request: Request) -> Response:
    world, key = _world(request), _key(request)
    if world.find(*key) is None:
        raise EditError(f"project {key[0]} has no {key[1]} {key[2]}")
    world.vanish(key)
    return Response(status_code=204)


async def restore_entity(request: Request) -> Response:
    _world(request).restore(_key(request))
    return Response(status_code=204)


async def add_note(request: Request) -> Response:
    spec = await _body(request, NoteSpec)
    discussion_id, note = edits.add_note(
        _world(request),
        _key(request),
        body=spec.body,
        username=spec.username,
        discussion_id=spec.discussion_id,
        internal=spec.internal,
        bump=spec.bump_updated_at,
    )
    return JSONResponse(AddedNote(discussion_id=discussion_id, note=note).model_dump(), status_code=201)


async def edit_note(request: Request) -> Response:
    change = await _body(request, NoteChange)
    note_id = int(request.path_params["note_id"])
    return JSONResponse(edits.edit_note(_world(request), note_id, body=change.body, bump=change.bump_updated_at))


async def delete_note(request: Request) -> Response:
    edits.delete_note(_world(request), int(request.path_params["note_id"]))
    return Response(status_code=204)


async def add_award(request: Request) -> Response:
    spec = await _body(request, AwardSpec)
    award = edits.add_award(_world(request), _key(request), name=spec.name, username=spec.username)
    return JSONResponse(award, status_code=201)


async def delete_award(request: Request) -> Response:
    edits.delete_award(_world(request), _key(request), award_id=int(request.path_params["award_id"]))
    return Response(status_code=204)


async def set_approvers(request: Request) -> Response:
    spec = await _body(request, ApproverSpec)
    edits.set_approvers(_world(request), _key(request), usernames=spec.usernames)
    return Response(status_code=204)


def _guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A body that does not fit and a change that cannot be made answer 422 with the reason."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handler(request)
        except (EditError, ValidationError) as error:
            return JSONResponse({"error": str(error)}, status_code=422)

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
        ("POST", "/project/recreate", recreate_project),
        ("POST", "/issues", create_issue),
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
    return [Route(f"/sandbox{path}", _guarded(handler), methods=[method]) for method, path, handler in table]


def _bound(
    handler: Callable[[Request], Awaitable[Response]], plural: str
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.path_params["plural"] = plural
        return await handler(request)

    return endpoint
