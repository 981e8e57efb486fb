"""One API call: who asks, for which project, with which parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, unquote

from starlette.responses import Response
from starlette.routing import Route

from surgical_pipeline.sandbox.api.errors import ApiError, forbidden, insufficient_scope, not_found, unauthorized
from surgical_pipeline.sandbox.api.params import invalid
from surgical_pipeline.sandbox.model import REPORTER, Entity, Json, Kind, Project, Viewer, render
from surgical_pipeline.sandbox.payloads import WEB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.datastructures import QueryParams
    from starlette.requests import Request

    from surgical_pipeline.sandbox.world import World

Handler: TypeAlias = "Callable[[Call], Response]"
_READING_SCOPES = frozenset({"api", "read_api"})


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler needs of a request.

    `url` is the requested address, without its query; `named` the same as GitLab's `external_url` names it.
    """

    world: World
    viewer: Viewer
    params: QueryParams
    path: Mapping[str, str]
    url: str
    named: str

    def project(self) -> Project:
        """The project of the path; 404 when the viewer may not read it, 301 when it had another name."""
        ident = unquote(self.path["project"])
        project = self.world.find_project(ident)
        if project is None or project.project_id not in self.viewer.levels:
            raise not_found("Project")
        if not ident.isdecimal() and ident.lower() != project.path.lower():
            self._redirect(project)
        return project

    def group(self) -> Json:
        """The group of the path, by id or full path; 404 when the viewer may read no project below it."""
        group = self.world.find_group(unquote(self.path["group"]))
        if group is None or not self.readable_below(group):
            raise not_found("Group")
        return group

    def readable_below(self, group: Json) -> list[Project]:
        """The projects of a group and its subgroups that the viewer may read."""
        below = self.world.projects_below(group)
        return [project for project in below if project.project_id in self.viewer.levels]

    def _redirect(self, project: Project) -> None:
        target = self.url.replace(f"/projects/{self.path['project']}", f"/projects/{project.project_id}", 1)
        if query := str(self.params):
            target = f"{target}?{query}"
        text = f"This resource has been moved permanently to {target}"
        raise ApiError(301, {"message": text}, headers={"Location": quote(target, safe=":/?#[]@!$&'()*+,;=%")})

    def entity(self, kind: Kind) -> Entity:
        """The issue or merge request of the path; 404 also for confidential issues that the viewer may not see."""
        project = self.project()
        self.require_kind(project, kind)
        entity = self.world.find(project.project_id, kind, self.number("iid", shown_as=f"{kind}_iid"))
        if entity is None or not self.sees(entity):
            raise not_found()
        return entity

    def require_kind(self, project: Project, kind: Kind) -> None:
        """Guests of a private project may read its issues but not its code, hence no merge requests."""
        if not self.reads_kind(project, kind):
            raise forbidden()

    def reads_kind(self, project: Project, kind: Kind) -> bool:
        private = project.payload["visibility"] == "private"
        return kind == "issue" or not private or self.viewer.levels[project.project_id] >= REPORTER

    def number(self, name: str, *, shown_as: str) -> int:
        text = self.path[name]
        if not text.isdecimal():
            raise invalid(shown_as)
        return int(text)

    def sees(self, entity: Entity) -> bool:
        return not entity.confidential or self.viewer.reads_confidential(entity.project_id)


def _named(response: Response, external_url: str) -> Response:
    """The answer of a GitLab at `external_url`: all web addresses in it begin with that."""
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    body = bytes(response.body).replace(WEB.encode(), external_url.encode())
    return Response(body, response.status_code, headers)


def json_response(value: Json | list[Json]) -> Response:
    return Response(render(value), media_type="application/json")


def identify(request: Request, viewers: Mapping[str, Viewer]) -> Viewer:
    """The owner of the token in `PRIVATE-TOKEN` or `Authorization: Bearer`; 401 for none or an unknown one."""
    token = request.headers.get("private-token", "")
    if not token:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token if scheme.lower() == "bearer" else ""
    if token not in viewers:
        raise unauthorized()
    return viewers[token]


def api_route(path: str, handler: Handler, *, scopes: frozenset[str] = _READING_SCOPES) -> Route:
    """A GET route below `/api/v4` for a handler; a token must have one of `scopes`."""

    async def endpoint(request: Request) -> Response:
        state = request.app.state
        world: World = state.world.as_answered()
        viewer = world.admit(identify(request, state.viewers))
        if scopes.isdisjoint(viewer.scopes):
            raise insufficient_scope(" ".join(sorted(scopes)))
        url = f"{request.url.scheme}://{request.headers.get('host', '')}{request.scope['raw_path'].decode()}"
        named = f"{state.external_url}{request.scope['path']}" if state.external_url else url
        response = handler(Call(world, viewer, request.query_params, request.path_params, url, named))
        return _named(response, state.external_url) if state.external_url else response

    return Route(f"/api/v4{path}", endpoint, methods=["GET"])
