from collections.abc import AsyncIterator

import pytest

from surgical_pipeline_tests.integration.gitlab.wire_server import WireServer


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def server() -> AsyncIterator[WireServer]:
    """A server whose answers the test scripts."""
    async with WireServer() as running:
        yield running
