"""All pages of a list.

A short page is not the last (GitLab filters by permission after paging), and totals may be missing: only
``Link: rel="next"`` or ``x-next-page`` says whether there is more. Totals only say what may be read ahead.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import httpx

from surgical_pipeline.gitlab.answers import Answer
from surgical_pipeline.gitlab.errors import InvalidPayloadError, ServerError
from surgical_pipeline.gitlab.reading_ahead import GetPage, ReadAhead
from surgical_pipeline.gitlab.urls import Param, path_of, resolve, split_api

MAX_PAGES = 1000
"""100,000 items at 100 a page: no list of one entity is that long, so something is wrong."""

MAX_RESTARTS = 2
"""How often a list that changed while it was read is read again."""

MAX_LIST_BYTES = 256 * 1024 * 1024
"""All pages of one list, those read ahead included."""

T = TypeVar("T")

_CURSORS = frozenset({"cursor", "id_after", "id_before", "page_token", "pagination"})
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r'\brel\s*=\s*(?:"[^"]*\bnext\b[^"]*"|next\b)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class WholeList(Generic[T]):
    """What was made of each page. ``fetched_at``: when the first page's request was sent, by GitLab's clock."""

    pages: tuple[T, ...]
    fetched_at: datetime


class _ChangedWhileReadError(Exception):
    """``X-Total`` was not the same on all pages: rows moved, and one may have been skipped between two pages."""


async def whole_list(
    get: GetPage,
    first: httpx.URL,
    *,
    read: Callable[[Answer], Awaitable[T]],
    max_pages: int = MAX_PAGES,
    places: asyncio.Semaphore,
    at_once: int,
) -> WholeList[T]:
    """Read a list to its end, again if it changed meanwhile.

    ``read`` makes something of each page, in order, while the next ones are on their way.

    If the first page reports the number of pages, up to ``at_once`` of the others are read in parallel, within
    the ``places`` that all lists share. Each is still checked in order, so the same errors are found.

    Raises:
        GitLabError: a page failed (only that page is repeated, by ``get``), a next page of another list or a
            repeated page, more than ``max_pages`` or ``MAX_LIST_BYTES``, or a list that kept changing.
    """
    for _ in range(1 + MAX_RESTARTS):
        counted = _Counted(get)
        ahead = ReadAhead(counted.get, places=places, at_once=at_once)
        try:
            return await _read_once(ahead, first, read=read, max_pages=max_pages)
        except _ChangedWhileReadError:
            continue
        finally:
            await ahead.aclose()
    raise ServerError(f"the list changed {1 + MAX_RESTARTS} times while it was read", path=path_of(first))


async def pages(get: GetPage, first: httpx.URL, *, max_pages: int = MAX_PAGES) -> AsyncGenerator[Answer, None]:
    """The pages of a list, one after the other.

    Raises:
        GitLabError: as ``whole_list``, but rows that move between two pages are left to the caller.
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
        url = next_page(answer, first)


def next_page(answer: Answer, first: httpx.URL) -> httpx.URL | None:
    """The address of the page after ``answer``: the first request, with the paging parameters.

    Nothing else of a link is used: it names GitLab's ``external_url``, which behind a tunnel or a proxy is another
    host, scheme or prefix than ours. The first request's parameters (``iids[]``, ``scope``, ``per_page``) are
    kept regardless of the link, so no answer can widen a request or redirect it.

    Raises:
        InvalidPayloadError: the link leads to another list, or cannot be read.
    """
    link = _next_link(answer.headers)
    if link is not None:
        target = resolve(answer.url, link)
        if target is None:
            raise InvalidPayloadError("GitLab's link to the next page cannot be read", path=answer.path)
        if _list_of(target) != _list_of(first):
            raise InvalidPayloadError("GitLab's next page belongs to another list", path=answer.path)
        return _turned(first, target.params.multi_items())
    page = answer.headers.get("x-next-page", "").strip()
    if not page:
        return None
    if not (page.isascii() and page.isdecimal() and int(page[:9]) > 0):
        raise InvalidPayloadError("GitLab's x-next-page is not a number", path=answer.path)
    return _turned(first, [("page", page)])


def linked_base_url(answer: Answer) -> str | None:
    """The base URL that the links of a list name, GitLab's ``external_url``; None if it has no links."""
    for address, _ in _LINK.findall(answer.headers.get("link", "")):
        target = resolve(answer.url, address)
        if target is not None and (parts := split_api(target)):
            return parts[0]
    return None


class _Counted:
    """``get``, with a limit on the total bytes of one list."""

    def __init__(self, get: GetPage) -> None:
        self._get = get
        self.size = 0

    async def get(self, url: httpx.URL) -> Answer:
        answer = await self._get(url)
        self.size += answer.size
        if self.size > MAX_LIST_BYTES:
            raise InvalidPayloadError(f"GitLab's list is larger than {MAX_LIST_BYTES} bytes", path=path_of(url))
        return answer


async def _read_once(
    ahead: ReadAhead, first: httpx.URL, *, read: Callable[[Answer], Awaitable[T]], max_pages: int
) -> WholeList[T]:
    done: list[T] = []
    totals: set[str] = set()
    fetched_at: datetime | None = None
    async with aclosing(pages(ahead.get, first, max_pages=max_pages)) as answers:
        async for answer in answers:
            if fetched_at is None:
                fetched_at = answer.sent_at
                ahead.expect(_pages_told(answer, first, max_pages=max_pages))
            totals |= {total for total in [answer.headers.get("x-total")] if total}
            if len(totals) > 1:
                raise _ChangedWhileReadError
            done.append(await read(answer))
    if fetched_at is None:
        raise AssertionError("a list has a first page")
    return WholeList(tuple(done), fetched_at)


def _pages_told(answer: Answer, first: httpx.URL, *, max_pages: int) -> Iterator[httpx.URL]:
    """The pages after the first, if it reports their number and they are selected by page number alone.

    GitLab leaves the totals out past 10,000 rows, and if pages are selected by a cursor or the last row's id.
    """
    told = answer.headers.get("x-total-pages", "").strip()
    second = next_page(answer, first)
    if second is None or not (told.isascii() and told.isdecimal() and int(told[:9]) <= max_pages):
        return
    if second.params.get_list("page") != ["2"] or _CURSORS & second.params.keys():
        return
    for number in range(2, int(told) + 1):
        yield second.copy_set_param("page", str(number))


def _next_link(headers: httpx.Headers) -> str | None:
    for address, parameters in _LINK.findall(headers.get("link", "")):
        if _NEXT.search(parameters):
            return str(address)
    return None


def _list_of(url: httpx.URL) -> str | None:
    parts = split_api(url)
    return parts[1] if parts else None


def _turned(first: httpx.URL, parameters: list[Param]) -> httpx.URL:
    fixed = first.params.multi_items()
    names = {name for name, _ in fixed}
    turning = [(name, value) for name, value in parameters if name not in names]
    return first.copy_with(params=httpx.QueryParams([*fixed, *turning]))
