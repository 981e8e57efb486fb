"""Proxies come from the environment, as other programs take them; test_tls.py has the one for https."""

import os
from collections.abc import AsyncIterator

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import NetworkError
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline_tests.integration.gitlab.tiny_proxy import TinyProxy
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer

pytestmark = pytest.mark.anyio

VERSION = "/api/v4/version"


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TinyProxy]:
    """The only proxy that the environment knows, for http."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    async with TinyProxy() as running:
        monkeypatch.setenv("HTTP_PROXY", running.url)
        yield running


async def version_of(server: WireServer, token: str, deadline: Deadline) -> str:
    async with GitLabClient(server.url, token, retry=RetryPolicy(max_attempts=1)) as client:
        return await client.version(deadline)


async def test_http_goes_through_the_proxy(
    proxy: TinyProxy, server: WireServer, token: str, deadline: Deadline
) -> None:
    server.on(VERSION, Reply({"version": "18"}, headers={"Connection": "close"}))
    assert await version_of(server, token, deadline) == "18"
    assert proxy.asked == [f"GET {server.url}{VERSION} HTTP/1.1"]
    assert [request.path for request in server.requests] == [VERSION]


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
async def test_a_host_in_no_proxy_is_asked_directly(
    proxy: TinyProxy,
    server: WireServer,
    token: str,
    deadline: Deadline,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, "localhost,127.0.0.1")
    server.on(VERSION, Reply({"version": "18"}))
    assert await version_of(server, token, deadline) == "18"
    assert proxy.asked == []


async def test_a_proxy_that_is_not_there_is_a_network_error(
    server: WireServer, token: str, deadline: Deadline, monkeypatch: pytest.MonkeyPatch, proxy: TinyProxy
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(NetworkError):
        await version_of(server, token, deadline)
    assert server.requests == []
    assert proxy.asked == []
