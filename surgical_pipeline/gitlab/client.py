"""What this project asks GitLab, in GitLab's terms: a project, entities by IID, and their dependents.

Endpoints and parameters are those of GitLab's v4 REST API (docs.gitlab.com/api). Only GET is ever sent.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from surgical_pipeline.domain.budgets import Deadline, MonotonicClock
from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.outcomes import HttpStats
from surgical_pipeline.domain.records import DependentRecords, DependentSet, ProjectRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.gitlab.answers import Answer
from surgical_pipeline.gitlab.base_url import validate_base_url
from surgical_pipeline.gitlab.changes import ONE_LOOK, ListLook
from surgical_pipeline.gitlab.clock import GitLabClock, uptime
from surgical_pipeline.gitlab.endpoints import COLLECTIONS, DEPENDENT_PATHS, checked_id, checked_iid, entity_path
from surgical_pipeline.gitlab.errors import GitLabError, InvalidPayloadError, NotFoundError, ProjectNotFoundError
from surgical_pipeline.gitlab.fetched import FetchedEntities, FetchedEntity
from surgical_pipeline.gitlab.foreign import checked_token
from surgical_pipeline.gitlab.identity import Owner, check_owner
from surgical_pipeline.gitlab.joined_pages import joined
from surgical_pipeline.gitlab.pacing import CommonTimes, Priority
from surgical_pipeline.gitlab.pagination import WholeList, linked_base_url, pages, whole_list
from surgical_pipeline.gitlab.rate_limit import RateLimiter, shared_limiter
from surgical_pipeline.gitlab.reading_ahead import GetPage
from surgical_pipeline.gitlab.records import parse_dependent, parse_project, parse_scopes, parse_version
from surgical_pipeline.gitlab.retry import AS_USUAL, Patience, RetryPolicy
from surgical_pipeline.gitlab.transport import Transport, work_through
from surgical_pipeline.gitlab.urls import ApiUrls, split_api

__all__ = ["FetchedEntities", "FetchedEntity", "GitLabClient", "validate_base_url"]

PAGE_SIZE = 100
"""GitLab's largest page."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class GitLabClient:
    """An async context manager; one connection pool, used within the event loop that entered it.

    Every method takes a deadline for all that it does, and raises a ``GitLabError``. The token is sent in a header
    only, and is in no repr, message or log. Proxies come from the environment. Clients with one ``limits_folder``
    share a rate limit, machines with one ``limits_of_all``; ``priority``: whose requests go first if few are left.

    Raises:
        ValueError: a base URL that ``validate_base_url`` refuses, or a token that no header can carry.
    """

    def __init__(  # noqa: PLR0913  all but the first two have good defaults
        self,
        base_url: str,
        token: str,
        *,
        max_in_flight: int = 16,
        request_timeout_seconds: float = 30.0,
        ca_bundle: Path | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        limiter: RateLimiter | None = None,
        retry: RetryPolicy | None = None,
        clock: GitLabClock | None = None,
        monotonic: MonotonicClock = uptime,
        limits_folder: Path | None = None,
        limits_of_all: CommonTimes | None = None,
        priority: Priority = Priority.PEOPLE,
        network: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        token = checked_token(token)
        self._urls = ApiUrls(base_url)
        self._limiter = limiter or shared_limiter(
            self._urls.origin,
            token,
            max_in_flight=max_in_flight,
            folder=limits_folder,
            common=limits_of_all,
            monotonic=monotonic,
        )
        self.clock = clock or GitLabClock()
        self._places_ahead = asyncio.Semaphore(max_in_flight)
        self._transport = Transport(
            self._urls,
            token,
            limiter=self._limiter,
            retry=retry or RetryPolicy(),
            request_timeout_seconds=request_timeout_seconds,
            max_answer_bytes=max_answer_bytes,
            ca_bundle=ca_bundle,
            clock=self.clock,
            priority=priority,
            network=network,
        )

    def __repr__(self) -> str:
        return f"GitLabClient({self._urls.base_url!r})"

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    @property
    def base_url(self) -> str:
        return self._urls.base_url

    @property
    def max_in_flight(self) -> int:
        """Requests that this client's token may have under way at once; more tasks would only wait."""
        return self._limiter.max_in_flight

    @property
    def stats(self) -> HttpStats:
        """Requests sent so far; still readable after the client is closed."""
        return self._transport.stats

    @property
    def per_minute(self) -> int | None:
        """Requests that GitLab allows this token in a minute; None: it has not said."""
        return self._transport.per_minute

    def now(self) -> datetime:
        """GitLab's present time, in UTC: the clock for ``fetched_at``.

        Raises:
            RuntimeError: GitLab has not answered yet, so its clock is not known.
        """
        present = self.clock.present()
        if present is None:
            raise RuntimeError("GitLab's clock is asked for before its first answer")
        return present

    async def project(self, path_or_id: str, deadline: Deadline) -> ProjectRecord:
        """The project by full path or numeric id; a renamed project is found under its old path too.

        Raises:
            ProjectNotFoundError: 404, also if the token may not see it.
            UnauthorizedError, ForbiddenError: 401, 403.
            CrossOriginError: GitLab redirects to another origin.
        """
        url = self._urls.build("projects", path_or_id)
        try:
            answer = await self._transport.get(url, deadline, follow_redirects=True)
        except NotFoundError as error:
            raise _project_missing(error) from error
        return answer.parsed(parse_project)

    async def is_answering(self, project_id: int, deadline: Deadline) -> bool:
        """Whether GitLab returns the project at the first attempt: a cheap check of the server."""
        url = self._urls.build("projects", checked_id(project_id))
        try:
            await self._transport.get(url, deadline, patience=Patience(attempts=1))
        except GitLabError:
            return False
        return True

    async def entities_by_iids(
        self,
        project_id: int,
        entity_type: EntityType,
        *,
        iids: Sequence[int],
        deadline: Deadline,
        patience: Patience = AS_USUAL,
    ) -> FetchedEntities:
        """The named entities that GitLab's list returns; it silently leaves out what the token may not see.

        An answer with other entities than the named ones is passed on unchanged, for the caller to check.

        Raises:
            ValueError: no IID (GitLab would answer with every entity of the project), or more than 100.
            ProjectNotFoundError, ForbiddenError, UnauthorizedError: of the project as a whole.
        """
        if not 1 <= len(iids) <= PAGE_SIZE:
            raise ValueError(f"a batch names 1 to {PAGE_SIZE} IIDs, not {len(iids)}")
        params = [("iids[]", str(checked_iid(iid))) for iid in iids]
        params += [("scope", "all"), ("per_page", str(PAGE_SIZE))]
        if entity_type is EntityType.MERGE_REQUEST:
            # Makes labels objects, and GitLab read the entities from its database instead of a cache of minutes.
            params.append(("with_labels_details", "true"))
        url = self._urls.build("projects", checked_id(project_id), COLLECTIONS[entity_type], params=params)
        items: list[dict[str, object]] = []
        fetched_at: datetime | None = None
        try:
            async with aclosing(pages(self._getter(deadline, patience), url)) as answers:
                async for answer in answers:
                    fetched_at = fetched_at or answer.sent_at
                    items.extend(answer.items())
                    if len(items) > len(iids):  # something ignores iids[]: do not read the whole project
                        break
        except NotFoundError as error:
            raise _project_missing(error) from error
        if fetched_at is None:
            raise AssertionError("a list has a first page")
        return FetchedEntities(tuple(items), fetched_at)

    async def entity(
        self, project_id: int, key: EntityKey, deadline: Deadline, *, patience: Patience = AS_USUAL
    ) -> FetchedEntity | None:
        """One entity; None if GitLab answers 404 for it.

        Raises:
            ProjectNotFoundError: the 404 is for the project.
            ForbiddenError, UnauthorizedError: 403, 401.
        """
        try:
            url = self._urls.build(*entity_path(project_id, key))
            answer = await self._transport.get(url, deadline, patience=patience)
        except ProjectNotFoundError:
            raise
        except NotFoundError:
            return None
        return FetchedEntity(answer.item(), answer.sent_at)

    async def dependent(
        self,
        project_id: int,
        key: EntityKey,
        *,
        dependent: Dependent,
        deadline: Deadline,
        gitlab_id: int | None = None,
    ) -> DependentSet:
        """All of one dependent, complete to the last page, or an error; ``source_version`` is left to the caller.

        ``gitlab_id``: the entity's global id, by which some dependents name their owner.

        Raises:
            ValueError: entities of this type have no such dependent.
            InvalidPayloadError: an item is invalid or belongs to another entity.
            NotFoundError: the entity is gone, hidden, or this GitLab has no such endpoint.
        """
        if key.entity_type not in dependent.applies_to:
            raise ValueError(f"{dependent} is nothing that {key} has")
        path = (*entity_path(project_id, key), DEPENDENT_PATHS[dependent])
        read = partial(_records_of_page, dependent=dependent, owner=Owner(project_id, key, gitlab_id))
        if dependent is Dependent.APPROVALS:
            answer = await self._transport.get(self._urls.build(*path), deadline)
            found = WholeList((await read(answer),), answer.sent_at)
        else:
            url = self._urls.build(*path, params=[("per_page", str(PAGE_SIZE))])
            get, places = self._getter(deadline), self._places_ahead
            found = await whole_list(get, url, read=read, places=places, at_once=self.max_in_flight)
        records = joined(dependent, found.pages)
        return DependentSet(key=key, dependent=dependent, fetched_at=found.fetched_at, records=records)

    def changes(
        self, watch: Watch, entity_type: EntityType, deadline: Deadline, *, patience: Patience = ONE_LOOK
    ) -> ListLook:
        """One look at a list of what changed in a project or group; a failure is in what its ``read`` returns."""
        return ListLook(
            self._transport, self._urls, watch, entity_type=entity_type, deadline=deadline, patience=patience
        )

    def _getter(self, deadline: Deadline, patience: Patience = AS_USUAL) -> GetPage:
        async def get(url: httpx.URL) -> Answer:
            return await self._transport.get(url, deadline, patience=patience)

        return get

    async def version(self, deadline: Deadline) -> str:
        """GitLab's version, such as ``18.5.1-ee``."""
        answer = await self._transport.get(self._urls.build("version"), deadline)
        return answer.parsed(parse_version)

    async def token_scopes(self, deadline: Deadline) -> tuple[str, ...] | None:
        """The token's scopes, such as ``read_api``; None if this GitLab or kind of token does not report them."""
        try:
            answer = await self._transport.get(self._urls.build("personal_access_tokens", "self"), deadline)
        except NotFoundError:
            return None
        return answer.parsed(parse_scopes)

    async def told_of_itself(self, deadline: Deadline) -> tuple[str | None, str | None]:
        """GitLab's own address, by its links if they do not name ours, and by a project; None: not reported."""
        url = self._urls.build("projects", params=[("membership", "true"), ("per_page", "1")])
        answer = await self._transport.get(url, deadline)
        linked, ours = linked_base_url(answer), split_api(url)
        by_links = None if ours and linked == ours[0] else linked
        return by_links, next((parse_project(item).gitlab_url for item in answer.items()), None)


async def _records_of_page(answer: Answer, *, dependent: Dependent, owner: Owner) -> DependentRecords:
    """A page's records; an error names the requested path."""
    items = (answer.item(),) if dependent is Dependent.APPROVALS else answer.items()

    def records() -> DependentRecords:
        check_owner(dependent, items, owner)
        return parse_dependent(dependent, items)

    try:
        return await work_through(answer.size, records)
    except InvalidPayloadError as error:
        raise InvalidPayloadError(error.reason, path=answer.path) from error


def _project_missing(error: NotFoundError) -> ProjectNotFoundError:
    return ProjectNotFoundError(error.reason, path=error.path, status=error.status)
