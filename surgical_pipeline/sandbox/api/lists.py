"""The lists of a project or group: issues and merge requests, with GitLab's filters and orders.

Two of GitLab's habits matter to who polls. A merge request's row comes from a cache of eight hours by its id and
`updated_at`, so what moved no `updated_at` is not seen in it; `with_labels_details=true` reads the row afresh.
And past 50,000 rows a page number is refused.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Final

from surgical_pipeline.sandbox.api import params as read
from surgical_pipeline.sandbox.api.errors import ApiError
from surgical_pipeline.sandbox.api.fragments import list_fragment
from surgical_pipeline.sandbox.api.paging import keyset_page, offset_page, position, refuse_large_offset

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import QueryParams
    from starlette.responses import Response

    from surgical_pipeline.sandbox.api.call import Call
    from surgical_pipeline.sandbox.model import Entity, Kind, Project
    from surgical_pipeline.sandbox.world import World

_SCOPES = ("created_by_me", "created-by-me", "assigned_to_me", "assigned-to-me", "all")
_STATES: dict[Kind, tuple[str, ...]] = {
    "issue": ("opened", "closed", "all"),
    "merge_request": ("opened", "closed", "locked", "merged", "all"),
}
_CLASSES: dict[Kind, str] = {"issue": "Issue", "merge_request": "MergeRequest"}
_CACHED_FOR: Final = timedelta(hours=8)
_LARGEST_CACHE: Final = 20_000
ORDERS = ("created_at", "updated_at", "title")


def list_issues(call: Call) -> Response:
    """`GET /projects/:id/issues`; with `pagination=keyset` by cursor."""
    return _list_of_project(call, "issue")


def list_merge_requests(call: Call) -> Response:
    """`GET /projects/:id/merge_requests`; has no keyset pagination and ignores a request for it."""
    return _list_of_project(call, "merge_request")


def list_group_issues(call: Call) -> Response:
    """`GET /groups/:id/issues`: of all projects of the group and its subgroups that the viewer may read."""
    return _list(call, "issue", call.readable_below(call.group()))


def list_group_merge_requests(call: Call) -> Response:
    """`GET /groups/:id/merge_requests`; leaves out projects whose code the viewer may not read."""
    projects = call.readable_below(call.group())
    return _list(call, "merge_request", [one for one in projects if call.reads_kind(one, "merge_request")])


def _list_of_project(call: Call, kind: Kind) -> Response:
    project = call.project()
    call.require_kind(project, kind)
    return _list(call, kind, [project])


def _list(call: Call, kind: Kind, projects: list[Project]) -> Response:
    keep = _filter(call, kind)
    order_by = read.choice(call.params, "order_by", allowed=ORDERS, default="created_at")
    descending = read.choice(call.params, "sort", allowed=("asc", "desc"), default="desc") == "desc"
    details = read.flag(call.params, "with_labels_details")
    wanted = read.iids(call.params)
    keyset = _wants_keyset(call, kind)
    rows = _ordered(call, kind, projects, order_by=order_by, descending=descending)
    if wanted is not None:
        rows = [row for row in rows if row.payload["iid"] in wanted]
    if keep:
        rows = [row for row in rows if all(test(row) for test in keep)]

    def fragment(entity: Entity) -> bytes | None:
        if not call.sees(entity):
            return None
        if kind == "merge_request" and not details:
            return _cached_row(call.world, entity)
        return list_fragment(entity, call.world.projects[entity.project_id], details=details)

    if keyset:
        return keyset_page(call, rows, fragment, order_by=order_by, descending=descending)
    refuse_large_offset(call, _CLASSES[kind])
    return offset_page(call, rows, fragment)


def _wants_keyset(call: Call, kind: Kind) -> bool:
    pagination = call.params.get("pagination", "")
    if pagination not in ("", "keyset", "legacy"):
        raise read.invalid("pagination")
    has_it = call.world.behaviour.keyset
    if pagination == "keyset" and has_it is False:
        raise ApiError(400, {"error": "pagination does not have a valid value"})
    return pagination == "keyset" and kind == "issue" and has_it is True


def _ordered(call: Call, kind: Kind, projects: list[Project], *, order_by: str, descending: bool) -> list[Entity]:
    lists = [
        call.world.ordered(project.project_id, kind, order_by=order_by, descending=descending)
        for project in projects
    ]
    if len(lists) == 1:
        return lists[0]
    return sorted(chain(*lists), key=lambda entity: position(entity, order_by), reverse=descending)


def _cached_row(world: World, entity: Entity) -> bytes:
    """The row as it was first shown with this `updated_at`, for eight hours."""
    key = (int(entity.payload["id"]), str(entity.payload["updated_at"]))
    made_at, row = world.cached_rows.get(key, (None, b""))
    if made_at is None or world.now() - made_at >= _CACHED_FOR:
        row = list_fragment(entity, world.projects[entity.project_id], details=False)
        world.cached_rows.pop(key, None)  # so that the oldest stand first
        world.cached_rows[key] = (world.now(), row)
        if len(world.cached_rows) > _LARGEST_CACHE:
            del world.cached_rows[next(iter(world.cached_rows))]
    return row


def _filter(call: Call, kind: Kind) -> list[Callable[[Entity], bool]]:
    params = call.params
    tests = _instant_tests(params)
    state = read.choice(params, "state", allowed=_STATES[kind], default="all")
    scope = read.choice(params, "scope", allowed=_SCOPES, default="all")
    if state != "all":
        tests.append(lambda entity: entity.payload["state"] == state)
    me = call.viewer.user["id"]
    if scope.startswith("created"):
        tests.append(lambda entity: entity.payload["author"]["id"] == me)
    if scope.startswith("assigned"):
        tests.append(lambda entity: any(user["id"] == me for user in entity.payload["assignees"]))
    if labels := set(read.words(params, "labels")):
        tests.append(lambda entity: labels <= set(entity.payload["labels"]))
    if author := params.get("author_username"):
        tests.append(lambda entity: entity.payload["author"]["username"] == author)
    if text := params.get("search", "").lower():
        tests.append(lambda e: text in f"{e.payload['title']}\n{e.payload['description']}".lower())
    return tests


def _instant_tests(params: QueryParams) -> list[Callable[[Entity], bool]]:
    """`…_after` means at or after, `…_before` at or before."""
    tests: list[Callable[[Entity], bool]] = []
    for field in ("updated_at", "created_at"):
        stem = field.removesuffix("_at")
        after = read.instant(params, f"{stem}_after", round_up=True)
        before = read.instant(params, f"{stem}_before", round_up=False)
        if after is not None:
            tests.append(_at_or_after(field, after))
        if before is not None:
            tests.append(_at_or_before(field, before))
    return tests


def _at_or_after(field: str, edge: str) -> Callable[[Entity], bool]:
    return lambda entity: bool(entity.payload[field] >= edge)


def _at_or_before(field: str, edge: str) -> Callable[[Entity], bool]:
    return lambda entity: bool(entity.payload[field] <= edge)
