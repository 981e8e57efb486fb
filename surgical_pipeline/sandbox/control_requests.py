"""What the control routes read from a request: its body, the world, the project that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from surgical_pipeline.sandbox.edits import EditError

if TYPE_CHECKING:
    from starlette.requests import Request

    from surgical_pipeline.sandbox.world import World

ModelT = TypeVar("ModelT", bound=BaseModel)


async def read_body(request: Request, model: type[ModelT]) -> ModelT:
    return model.model_validate_json(await request.body() or b"{}")


def world_of(request: Request) -> World:
    world: World = request.app.state.world
    return world


def project_id_of(request: Request) -> int:
    """The project named in the query (id or path), else the sample's first one."""
    world = world_of(request)
    ident = request.query_params.get("project")
    project = world.find_project(ident) if ident else next(iter(world.projects.values()))
    if project is None:
        raise EditError(f"no project {ident}")
    return project.project_id
