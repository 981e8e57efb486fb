"""The lists of a project: issues and merge requests, with GitLab's filters and orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from surgical_pipeline.sandbox.api import params as read
from surgical_pipeline.sandbox.api.fragments import list_fragment
from surgical_pipeline.sandbox.api.paging import keyset_page, offset_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import QueryParams
    from starlette.responses import Response

    from surgical_pipeline.sandbox.api.call import Call
    from surgical_pipeline.sandbox.model import Entity, Kind

_SCOPES = ("created_by_me", "created-by-me", "assigned_to_me", "assigned-to-me", "all")
_STATES: dict[Kind, tuple[str, ...]] = {
    "issue": ("opened", "closed", "all"),
    "merge_request": ("opened", "closed", "locked", "merged", "all"),
}
ORDERS = ("created_at", "updated_at", "title")


def list_issues(call: Call) -> Response:
    """`GET /projects/:id/issues`; with `pagination=keyset` by cursor."""
    return _list(call, "issue", keyset=call.params.get("pagination") == "keyset")


def list_merge_requests(call: Call) -> Response:
    """`GET /projects/:id/merge_requests`; has no keyset pagination and ignores a request for it."""
    return _list(call, "merge_request", keyset=False)


def _list(call: Call, kind: Kind, *, keyset: bool) -> Response:
    project = call.project()
    call.require_kind(project, kind)
    keep = _filter(call, kind)
    order_by = read.choice(call.params, "order_by", allowed=ORDERS, default="created_at")
    descending = read.choice(call.params, "sort", allowed=("asc", "desc"), default="desc") == "desc"
    details = read.flag(call.params, "with_labels_details")
    wanted = read.iids(call.params)
    if call.params.get("pagination", "") not in ("", "keyset", "legacy"):
        raise read.invalid("pagination")
    rows = call.world.ordered(project.project_id, kind, order_by=order_by, descending=descending)
    if wanted is not None:
        rows = [row for row in rows if row.payload["iid"] in wanted]
    if keep:
        rows = [row for row in rows if all(test(row) for test in keep)]

    def fragment(entity: Entity) -> bytes | None:
        return list_fragment(entity, project, details=details) if call.sees(entity) else None

    if keyset:
        return keyset_page(call, rows, fragment, order_by=order_by, descending=descending)
    return offset_page(call, rows, fragment)


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
