"""What changed since a time: the two lists of a project or group, ordered by ``updated_at``.

Issues are read by GitLab's cursor (keyset pagination, from GitLab 18.3 on), which no moving row disturbs; an older
GitLab refuses it and gets page numbers, as merge requests always do (``domain.listing`` says how they are read).
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.listing import MILLISECOND, ListedEntity, ListPosition, to_milliseconds
from surgical_pipeline.domain.scope import MAX_IID, EntityKey, EntityType, Scope, ScopeError
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.gitlab.answers import Answer
from surgical_pipeline.gitlab.endpoints import COLLECTIONS
from surgical_pipeline.gitlab.errors import GitLabError, InvalidPayloadError, NotFoundError
from surgical_pipeline.gitlab.field_types import PositiveId, UtcTime
from surgical_pipeline.gitlab.pagination import next_page
from surgical_pipeline.gitlab.retry import Patience
from surgical_pipeline.gitlab.transport import Transport
from surgical_pipeline.gitlab.urls import ApiUrls, Param

LIST_PAGE_SIZE = 100
ONE_LOOK = Patience(attempts=1, seconds=5.0)
"""A page that fails or is slow is asked for again by the next look, seconds later."""

_NO_SUCH_PAGING = (HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED)
_without_keyset: set[str] = set()
"""Lists whose GitLab refused a cursor since this process began, so that it is tried once."""


@dataclass(slots=True)
class ListPart:
    """The rows that one look at a list gave, in the order in which they were read; a row may come twice.

    Args:
        position: where to go on; None: the list was read to its end.
        read_at: when the first request was sent, by GitLab's clock; None: nothing was read.
        error: what ended the look before its time. What was read until then counts.
        ahead: how many of the rows came before the first way back; None: there was none.
        left_out: times of which GitLab has more rows than it gives by page number, so that some were not read.
    """

    position: ListPosition | None
    rows: list[ListedEntity] = field(default_factory=list)
    read_at: datetime | None = None
    error: GitLabError | None = None
    ahead: int | None = None
    left_out: list[datetime] = field(default_factory=list)


class ListLook:
    """One look at one list. ``_following``: the address of the next page, while GitLab's cursor leads."""

    def __init__(
        self,
        transport: Transport,
        urls: ApiUrls,
        watch: Watch,
        *,
        entity_type: EntityType,
        deadline: Deadline,
        patience: Patience = ONE_LOOK,
    ) -> None:
        self._transport = transport
        self._urls = urls
        self._segments = ("groups" if watch.is_group else "projects", watch.name, COLLECTIONS[entity_type])
        self._type = entity_type
        self._deadline = deadline
        self._patience = patience
        self._first: httpx.URL | None = None
        self._following: httpx.URL | None = None

    async def read(self, position: ListPosition, max_pages: int) -> ListPart:
        """Up to ``max_pages`` pages from there on. A failure is in the result, beside what came before it."""
        part = ListPart(position)
        for _ in range(max_pages):
            if part.position is None:
                break
            try:
                await self._read_page(part, part.position)
            except GitLabError as error:
                part.error = _of_the_whole(error)
                break
        return part

    async def _read_page(self, part: ListPart, position: ListPosition) -> None:
        answer = await self._page(position)
        if answer is None:
            part.left_out.append(position.anchor)
            part.position = ListPosition(position.anchor + MILLISECOND)
            return
        rows = [_row(item, self._type, answer) for item in answer.items()]
        if position.page < 0 and part.ahead is None:
            part.ahead = len(part.rows)
        part.rows += rows
        part.read_at = part.read_at or answer.sent_at
        times = [row.updated_at for row in rows]
        following = next_page(answer, self._first or answer.url)
        if following is not None and "cursor" in following.params:
            self._first = self._first or answer.url
            self._following = following
            part.position = _beside_a_cursor(position, times)
        elif self._following is not None:
            part.position = None
        else:
            part.position = position.after(times, more=following is not None)

    async def _page(self, position: ListPosition) -> Answer | None:
        """The page's answer; None: GitLab counts no pages so far (past 50,000 rows)."""
        if self._following is not None:
            return await self._get(self._following)
        address = str(self._urls.build(*self._segments))
        by_cursor = self._type is EntityType.ISSUE and position.page == 1 and address not in _without_keyset
        try:
            return await self._get(self._url(position, by_cursor=by_cursor))
        except GitLabError as error:
            if position.page > 1 and error.status == HTTPStatus.METHOD_NOT_ALLOWED:
                return None
            if not by_cursor or error.status not in _NO_SUCH_PAGING:
                raise
        answer = await self._get(self._url(position, by_cursor=False))
        _without_keyset.add(address)
        return answer

    def _url(self, position: ListPosition, *, by_cursor: bool) -> httpx.URL:
        return self._urls.build(*self._segments, params=_params(self._type, position, by_cursor=by_cursor))

    async def _get(self, url: httpx.URL) -> Answer:
        return await self._transport.get(url, self._deadline, follow_redirects=True, patience=self._patience)


def _params(entity_type: EntityType, position: ListPosition, *, by_cursor: bool) -> list[Param]:
    params = [
        ("scope", "all"),
        ("state", "all"),
        ("order_by", "updated_at"),
        ("sort", "asc"),
        ("updated_after", _instant(position.anchor)),
        ("per_page", str(LIST_PAGE_SIZE)),
    ]
    if entity_type is EntityType.MERGE_REQUEST:
        # Without it GitLab answers from a cache that keeps a row for hours, by its updated_at.
        params.append(("with_labels_details", "true"))
    if by_cursor:
        params.append(("pagination", "keyset"))
    if abs(position.page) > 1:
        params.append(("page", str(abs(position.page))))
    return params


def _instant(moment: datetime) -> str:
    """The time with milliseconds and Z, rounded down: GitLab rounds a time without them to whole seconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _beside_a_cursor(position: ListPosition, times: list[datetime]) -> ListPosition:
    """Where reading by page number goes on after a page that was read by a cursor: the order is the same."""
    last = to_milliseconds(max(times)) if times else position.anchor
    if last > position.anchor:
        return ListPosition(last)
    return ListPosition(position.anchor, position.page + 1)


class _References(BaseModel):
    full: str = ""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)

    iid: PositiveId
    project_id: PositiveId
    updated_at: UtcTime
    references: _References | None = None


def _row(item: object, entity_type: EntityType, answer: Answer) -> ListedEntity:
    try:
        row = _Row.model_validate(item)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InvalidPayloadError(f"a row of GitLab's list has no valid {place}", path=answer.path) from error
    if row.iid > MAX_IID:
        raise InvalidPayloadError("a row of GitLab's list has no valid iid", path=answer.path)
    key = EntityKey(entity_type, row.iid)
    full = row.references.full if row.references else ""
    return ListedEntity(row.project_id, _project_of(full, key) or str(row.project_id), key, row.updated_at)


def _project_of(full: str, key: EntityKey) -> str | None:
    """The path in ``group/project#12``; None if it is not the entity's own reference."""
    try:
        scope = Scope.parse(full)
    except ScopeError:
        return None
    return scope.project if tuple(scope.keys()) == (key,) else None


def _of_the_whole(error: GitLabError) -> GitLabError:
    """A list's 404 says that GitLab does not show the project or group at all."""
    if isinstance(error, NotFoundError):
        reason = f"{error.reason}: it does not exist, or the token may not see it"
        return type(error)(reason, path=error.path, status=error.status)
    return error
