import itertools
import time
from collections.abc import AsyncIterator

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline_tests.integration.gitlab.api import AT_ONCE
from surgical_pipeline_tests.integration.gitlab.wire_server import WireServer

_numbers = itertools.count(1)


@pytest.fixture
def token() -> str:
    """A token of this test alone, so that no limiter is shared with another test."""
    return f"glpat-secret-of-test-{next(_numbers)}"


@pytest.fixture
def deadline() -> Deadline:
    return Deadline.after(10, time.monotonic)


@pytest.fixture
async def client(server: WireServer, token: str) -> AsyncIterator[GitLabClient]:
    """A client of ``server``, which retries at once."""
    async with GitLabClient(server.url, token, retry=AT_ONCE) as running:
        yield running
