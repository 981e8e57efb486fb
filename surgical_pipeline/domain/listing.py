"""How a list ordered by ``updated_at`` is read while its rows move: what a row says, and the place to go on from.

GitLab counts pages from the list's beginning, and a row that changes leaves its place for the list's end, so later
rows move up and one may slip past a reader between two pages. Therefore a reader goes back to page 1 after
each page, with the last row's time as the new beginning (the anchor). The anchor never moves together with a step
to a further page. Where a whole page has one time the anchor cannot move: then the pages after it are read, and
those before the last once more on the way back, in which direction no row slips past.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from surgical_pipeline.domain.scope import EntityKey

MILLISECOND = timedelta(milliseconds=1)
"""What GitLab's times are given and asked for in."""


@dataclass(frozen=True, slots=True)
class ListedEntity:
    """A row of a list: that an entity exists, and when it last changed, by GitLab's clock.

    ``project``: the full path as GitLab gives it, else the id as text.
    """

    project_id: int
    project: str
    key: EntityKey
    updated_at: datetime

    @property
    def identity(self) -> tuple[int, EntityKey]:
        return self.project_id, self.key


@dataclass(frozen=True, slots=True)
class ListPosition:
    """The page to be read next, of the rows that changed at ``anchor`` or later.

    ``page``: from 1; below 0 it is read on the way back, after which reading goes on from ``onward``.
    """

    anchor: datetime
    page: int = 1
    onward: datetime | None = None

    def after(self, times: Sequence[datetime], *, more: bool) -> "ListPosition | None":
        """The place after this page; None: the list is read to its end.

        ``times``: those of the page's rows, which may be fewer than the page has room for, or none: GitLab takes
        out what the token may not see. ``more``: GitLab says that there is a further page.
        """
        if self.page < 0:
            return self._on_the_way_back()
        last = to_milliseconds(max(times)) if times else self.anchor
        moved = last > self.anchor
        if more and not moved:
            return replace(self, page=self.page + 1)
        if self.page == 1:
            return ListPosition(last) if more else None
        return ListPosition(self.anchor, 1 - self.page, last if moved else self.anchor + MILLISECOND)

    def _on_the_way_back(self) -> "ListPosition":
        if self.page < -1:
            return replace(self, page=self.page + 1)
        return ListPosition(self.onward or self.anchor + MILLISECOND)


def to_milliseconds(moment: datetime) -> datetime:
    """The moment without what is smaller than a millisecond: never later."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
