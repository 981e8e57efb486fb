"""Addresses of issues and merge requests as a browser shows them, and the entities that they lead to."""

import re
from contextlib import suppress
from urllib.parse import SplitResult, quote, unquote, urlsplit

from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope, ScopeError

_BEGINNING = re.compile(r"https?://", re.IGNORECASE)
_ENTITY = re.compile(
    r"(?P<project>.+?)/-/(?P<page>issues|issues/incident|work_items|merge_requests)/(?P<iid>[0-9]{1,20})"
    r"(?:\.(?:diff|patch|json))?(?:/.*)?",  # a merge request's /diffs, an issue's /designs
    re.DOTALL,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def is_address(text: str) -> bool:
    """Whether it is to be read as an address rather than in GitLab's notation."""
    return _BEGINNING.match(text) is not None


def scope_of_address(address: str, gitlab_url: str) -> Scope:
    """The one entity that ``address`` shows; its number may be followed by, say, ``/diffs`` or ``#note_5``.

    Args:
        address: copied from a browser.
        gitlab_url: a checked address of a GitLab; only addresses in it are accepted, http or https.

    Raises:
        ScopeError: another host or prefix, a page of something else, or an address that cannot be read. The
            sentence leaves query and fragment out: they may hold a token.
    """
    parts = _split(address)
    shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
    home = urlsplit(gitlab_url)
    path, prefix = unquote(parts.path), f"{unquote(home.path)}/"
    if _host(parts) != _host(home) or not path.startswith(prefix):
        raise ScopeError(f"{shown} does not lie in {gitlab_url}, the GitLab that GITLAB_URL names")
    match = _ENTITY.fullmatch(path.removeprefix(prefix))
    if match is None or match["project"].startswith("groups/"):
        raise ScopeError(
            f"{shown} is no issue or merge request of a project; such an address ends like "
            "group/project/-/issues/12, /-/work_items/12 or /-/merge_requests/34"
        )
    iids = (int(match["iid"]),)
    if match["page"] == "merge_requests":
        return Scope.of(match["project"], mr_iids=iids)
    return Scope.of(match["project"], issue_iids=iids)


def address_of(gitlab_url: str, project: str, key: EntityKey) -> str | None:
    """Where a person reads it; None if only the project's number is known."""
    if project.isdigit():
        return None
    page = "issues" if key.entity_type is EntityType.ISSUE else "merge_requests"
    return f"{gitlab_url}/{quote(project)}/-/{page}/{key.iid}"


def gitlab_of(web_url: str, project: str) -> str | None:
    """The address of the GitLab, with its prefix, that a project's ``web_url`` lies in; None if there is none."""
    if not (web_url.isascii() and web_url.isprintable() and web_url.endswith(f"/{project}")):
        return None
    try:
        return checked_gitlab(web_url.removesuffix(f"/{project}"))
    except ScopeError:
        return None


def checked_gitlab(address: str) -> str:
    """The address of a GitLab without a slash at its end.

    Raises:
        ScopeError: it is not an address.
    """
    parts = _split(address) if is_address(address) else None
    if parts is None or not parts.hostname or parts.query or parts.fragment or not address.isprintable():
        raise ScopeError("the address of a GitLab looks like https://gitlab.example.com, with its prefix if any")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def same_gitlab(one: str, other: str) -> bool:
    """Whether two addresses are those of one GitLab: host, port and prefix count, http or https does not."""
    first, second = urlsplit(one), urlsplit(other)
    return (_host(first), first.path.rstrip("/")) == (_host(second), second.path.rstrip("/"))


def leads_to(address: str, project: str, key: EntityKey) -> bool:
    """Whether an address that GitLab sent shows this entity, on any host, and is safe to click."""
    if not (address.isascii() and address.isprintable() and is_address(address)):
        return False
    try:
        parts = _split(address)
        prefix = parts.path.partition(f"/{quote(project)}/-/")[0]
        scope = scope_of_address(address, f"{parts.scheme}://{parts.netloc}{prefix}")
    except ScopeError:
        return False
    return scope.project == project and key in scope


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        raise ScopeError("an address that cannot be read; copy it again from the browser") from None
    if "@" in parts.netloc:
        raise ScopeError("an address must not contain a user name or password; copy it again from the browser")
    return parts


def _host(parts: SplitResult) -> tuple[str, int | None]:
    """Name and port; None for the port that the scheme has anyway."""
    name = (parts.hostname or "").rstrip(".")
    with suppress(UnicodeError):
        name = name.encode("idna").decode()
    return name, None if parts.port == _DEFAULT_PORTS.get(parts.scheme) else parts.port
