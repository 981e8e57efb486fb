"""Proxies come from the environment, as other programs take them; test_tls.py has the one for https."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from surgical_pipeline.gitlab.errors import NetworkError
from surgical_pipeline_tests.integration.gitlab.api import GOOD_VERSION, VERSION, ask_version
from surgical_pipeline_tests.integration.gitlab.tiny_proxy import TinyProxy
from surgical_pipeline_tests.integration.gitlab.wire_server import WireServer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TinyProxy]:
    """The only proxy that the environment knows, for http."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    async with TinyProxy() as running:
        monkeypatch.setenv("HTTP_PROXY", running.url)
        yield running


async def test_http_goes_through_the_proxy(proxy: TinyProxy, server: WireServer, token: str) -> None:
    server.on(VERSION, replace(GOOD_VERSION, headers={"Connection": "close"}))
    assert (await ask_version(server, token))[0] == "18.5.1"
    assert proxy.asked == [f"GET {server.url}{VERSION} HTTP/1.1"]
    assert [request.path for request in server.requests] == [VERSION]


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
async def test_a_host_in_no_proxy_is_asked_directly(
    proxy: TinyProxy,
    server: WireServer,
    token: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, "localhost,127.0.0.1")
    server.on(VERSION, GOOD_VERSION)
    assert (await ask_version(server, token))[0] == "18.5.1"
    assert proxy.asked == []


async def test_a_proxy_that_is_not_there_is_a_network_error(
    server: WireServer, token: str, monkeypatch: pytest.MonkeyPatch, proxy: TinyProxy
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    error, _ = await ask_version(server, token)
    assert isinstance(error, NetworkError)
    assert server.requests == []
    assert proxy.asked == []
