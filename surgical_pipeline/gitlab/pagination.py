"""All pages of a list.

A short page is not the last (GitLab filters by permission after paging), and totals may be missing: only
``Link: rel="next"`` or ``x-next-page`` says whether there is more.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import httpx

from surgical_pipeline.gitlab.answers import Answer
from surgical_pipeline.gitlab.errors import CrossOriginError, InvalidPayloadError, ServerError
from surgical_pipeline.gitlab.urls import ApiUrls, Param, path_of, resolve

MAX_PAGES = 1000
"""100,000 items at 100 a page: no list of one entity is that long, so something else is going on."""

MAX_RESTARTS = 2
"""How often a list that changed while it was read is read anew."""

_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r'\brel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|next\b)', re.IGNORECASE)

GetPage = Callable[[httpx.URL], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class WholeList:
    """Every item of every page. ``fetched_at``: when the request for the first page was sent, by GitLab's clock.

    ``size``: bytes of all pages.
    """

    items: tuple[dict[str, object], ...]
    fetched_at: datetime
    size: int


class _ChangedWhileReadError(Exception):
    """``X-Total`` was not the same on all pages: rows moved, and one may have slipped between two pages."""


async def whole_list(get: GetPage, first: httpx.URL, *, urls: ApiUrls, max_pages: int = MAX_PAGES) -> WholeList:
    """Read a list to its end, anew where it changed meanwhile.

    Raises:
        GitLabError: a page failed (only that page is repeated, by ``get``), a next page that leads elsewhere or
            comes round again, more than ``max_pages``, or a list that would not hold still.
    """
    for _ in range(1 + MAX_RESTARTS):
        try:
            return await _read_once(get, first, urls=urls, max_pages=max_pages)
        except _ChangedWhileReadError:
            continue
    raise ServerError(f"the list changed {1 + MAX_RESTARTS} times while it was read", path=path_of(first))


async def pages(
    get: GetPage, first: httpx.URL, *, urls: ApiUrls, max_pages: int = MAX_PAGES
) -> AsyncGenerator[Answer, None]:
    """The pages of a list, one after the other.

    Raises:
        GitLabError: as ``whole_list``, but what rows do between two pages is the caller's matter.
    """
    url: httpx.URL | None = first
    seen: set[str] = set()
    while url is not None:
        if str(url) in seen:
            raise InvalidPayloadError(
                "GitLab's pages lead back to a page that was read already", path=path_of(url)
            )
        if len(seen) >= max_pages:
            raise InvalidPayloadError(f"GitLab's list has more than {max_pages} pages", path=path_of(url))
        seen.add(str(url))
        answer = await get(url)
        yield answer
        url = next_page(answer, first, urls=urls)


def next_page(answer: Answer, first: httpx.URL, *, urls: ApiUrls) -> httpx.URL | None:
    """The address of the page after ``answer``: the first request, with the parameters that turn its pages.

    What the first request asked for (``iids[]``, ``scope``, ``per_page``) is kept whatever the link says, so no
    answer can widen a request.

    Raises:
        CrossOriginError: the link leads to another origin.
        InvalidPayloadError: it leads to another list, or cannot be read.
    """
    link = _next_link(answer.headers)
    if link is not None:
        target = resolve(answer.url, link)
        if target is None:
            raise InvalidPayloadError("GitLab's link to the next page cannot be read", path=answer.path)
        if not urls.same_origin(target):
            raise CrossOriginError(
                f"GitLab's next page is on another origin ({target.scheme}://{target.host}); if that is where it "
                "lives, use it as the GitLab URL",
                path=answer.path,
            )
        if target.path != first.path:
            raise InvalidPayloadError("GitLab's next page belongs to another list", path=answer.path)
        return _turned(first, target.params.multi_items())
    page = answer.headers.get("x-next-page", "").strip()
    if not page:
        return None
    if not (page.isascii() and page.isdecimal() and int(page[:9]) > 0):
        raise InvalidPayloadError("GitLab's x-next-page is not a number", path=answer.path)
    return _turned(first, [("page", page)])


async def _read_once(get: GetPage, first: httpx.URL, *, urls: ApiUrls, max_pages: int) -> WholeList:
    items: list[dict[str, object]] = []
    totals: set[str] = set()
    fetched_at: datetime | None = None
    size = 0
    async for answer in pages(get, first, urls=urls, max_pages=max_pages):
        fetched_at = fetched_at or answer.sent_at
        items.extend(answer.items())
        size += answer.size
        totals |= {total for total in [answer.headers.get("x-total")] if total}
        if len(totals) > 1:
            raise _ChangedWhileReadError
    if fetched_at is None:
        raise AssertionError("a list has a first page")
    return WholeList(tuple(items), fetched_at, size)


def _next_link(headers: httpx.Headers) -> str | None:
    for address, parameters in _LINK.findall(headers.get("link", "")):
        if _NEXT.search(parameters):
            return str(address)
    return None


def _turned(first: httpx.URL, parameters: list[Param]) -> httpx.URL:
    fixed = first.params.multi_items()
    names = {name for name, _ in fixed}
    turning = [(name, value) for name, value in parameters if name not in names]
    return first.copy_with(params=httpx.QueryParams([*fixed, *turning]))
