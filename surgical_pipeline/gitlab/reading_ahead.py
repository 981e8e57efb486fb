"""The pages of a long list, read in parallel and returned in order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

import httpx

from surgical_pipeline.gitlab.answers import Answer

GetPage = Callable[[httpx.URL], Awaitable[Answer]]


class ReadAhead:
    """Pages of one list that are requested before their turn.

    At most ``at_once`` of this list are under way or wait for their turn. All lists share the ``places``: no more
    requests than that are read ahead, so that they do not delay other requests.
    """

    def __init__(self, get: GetPage, *, places: asyncio.Semaphore, at_once: int) -> None:
        self._get = get
        self._places = places
        self._at_once = at_once
        self._coming: Iterator[httpx.URL] = iter(())
        self._tasks: dict[str, asyncio.Task[Answer]] = {}

    def expect(self, urls: Iterable[httpx.URL]) -> None:
        """Announce the addresses that will be asked for next, in this order."""
        self._coming = iter(urls)
        self._start_more()

    async def get(self, url: httpx.URL) -> Answer:
        """The page; errors as in the given ``get``. A page that was not announced is requested now."""
        task = self._tasks.pop(_name(url), None)
        if task is None:
            return await self._get(url)
        self._start_more()
        return await task

    async def aclose(self) -> None:
        """Cancel pages that were not asked for."""
        self._coming = iter(())
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start_more(self) -> None:
        while len(self._tasks) < self._at_once and (url := next(self._coming, None)) is not None:
            self._tasks[_name(url)] = asyncio.create_task(self._in_its_place(url))

    async def _in_its_place(self, url: httpx.URL) -> Answer:
        async with self._places:
            return await self._get(url)


def _name(url: httpx.URL) -> str:
    """A page is the same whatever the order of its parameters."""
    return str(sorted(url.params.multi_items()))
