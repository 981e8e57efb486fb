"""Which issues and merge requests a project has, or which of them changed since a time: not what they say."""

from datetime import UTC, datetime

import anyio

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.listing import ListPosition
from surgical_pipeline.domain.records import ProjectRecord
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.gitlab.changes import ListPart
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import InvalidPayloadError
from surgical_pipeline.gitlab.retry import AS_USUAL

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_PAGES = 100_000
"""Ten million rows: more are no list of one project."""


async def list_keys(
    client: GitLabClient, project: ProjectRecord, *, since: datetime | None, deadline: Deadline
) -> set[EntityKey]:
    """All that the token may see, also if rows move while the lists are read.

    ``since``: only those that changed at this time or later, by GitLab's clock.

    Raises:
        GitLabError: a page failed after the usual retries, or a list cannot be read to its end.
    """
    parts: dict[EntityType, ListPart] = {}

    async def read(kind: EntityType) -> None:
        look = client.changes(Watch(str(project.project_id)), kind, deadline, patience=AS_USUAL)
        parts[kind] = await look.read(ListPosition(since or _BEGINNING), _MAX_PAGES)

    async with anyio.create_task_group() as reading:
        for kind in EntityType:
            if kind not in project.unreadable:
                reading.start_soon(read, kind)
    return {key for kind, part in parts.items() for key in _keys(part, kind, project)}


def _keys(part: ListPart, kind: EntityType, project: ProjectRecord) -> set[EntityKey]:
    if part.error:
        raise part.error
    if part.left_out:
        raise InvalidPayloadError(
            f"more {kind}s of {project.path} changed at {part.left_out[0]} than GitLab lists: name them by IID"
        )
    if any(row.project_id != project.project_id for row in part.rows):
        raise InvalidPayloadError(f"GitLab's list of {project.path} has rows of another project")
    return {row.key for row in part.rows}
