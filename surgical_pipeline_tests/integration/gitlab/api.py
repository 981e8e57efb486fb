"""The part of GitLab's API that these tests script: the version, and of project 7 an issue and a merge request."""

import time
from typing import Any

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.outcomes import HttpStats
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import GitLabError
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer

VERSION = "/api/v4/version"
GOOD_VERSION = Reply({"version": "18.5.1"})
ISSUES = "/api/v4/projects/7/issues"
MERGE_REQUESTS = "/api/v4/projects/7/merge_requests"
ISSUE = EntityKey(EntityType.ISSUE, 12)
MERGE_REQUEST = EntityKey(EntityType.MERGE_REQUEST, 34)
AT_ONCE = RetryPolicy(base_seconds=0.0)
"""The usual retries, without a wait between them."""


async def ask_version(server: WireServer, token: str, **options: Any) -> tuple[str | GitLabError, HttpStats]:
    """The simplest request there is: its answer, or the error that it ended with, and what it cost.

    ``options``: of the client, or another ``deadline``.
    """
    deadline = options.pop("deadline", None) or Deadline.after(10, time.monotonic)
    async with GitLabClient(server.url, token, **{"retry": AT_ONCE} | options) as client:
        try:
            return await client.version(deadline), client.stats
        except GitLabError as error:
            return error, client.stats
