"""Connections over real sockets: how many there are, and who uses them."""

import asyncio
from contextlib import aclosing

import httpx
import pytest

from surgical_pipeline.gitlab.connections import Client, Connections
from surgical_pipeline_tests.integration.gitlab.wire_server import Reply, WireServer, eventually

pytestmark = pytest.mark.anyio


async def ask(connections: Connections, url: str) -> bytes:
    async with connections.get(httpx.URL(url)) as response:
        return await response.aread()


async def test_there_are_as_many_connections_as_there_were_requests_at_once(server: WireServer) -> None:
    gate = asyncio.Event()
    server.on("/held", Reply([], gate=gate))
    server.on("/free", Reply([]))
    async with aclosing(Connections(httpx.AsyncClient)) as connections:
        held = [asyncio.create_task(ask(connections, f"{server.url}/held")) for _ in range(3)]
        await eventually(lambda: server.in_flight == 3)
        gate.set()
        await asyncio.gather(*held)
        for _ in range(6):
            await ask(connections, f"{server.url}/free")
        assert len(server.open_connections) == 3
    await eventually(lambda: not server.open_connections)


async def test_a_request_that_is_cancelled_costs_its_connection_and_no_other(server: WireServer) -> None:
    server.on("/hangs", Reply(hang=True))
    server.on("/free", Reply([]))
    async with aclosing(Connections(httpx.AsyncClient)) as connections:
        hanging = asyncio.create_task(ask(connections, f"{server.url}/hangs"))
        await eventually(lambda: server.in_flight == 1)
        assert await ask(connections, f"{server.url}/free") == b"[]"
        hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        assert [await ask(connections, f"{server.url}/free") for _ in range(3)] == [b"[]"] * 3


async def test_a_cookie_that_a_server_sets_goes_back_to_it(server: WireServer) -> None:
    server.on("/sets", Reply([], headers={"Set-Cookie": "balancer=7"}))
    server.on("/free", Reply([]))
    async with aclosing(Connections(Client)) as connections:
        for path in ("/free", "/sets", "/free"):
            await ask(connections, f"{server.url}{path}")
    assert [one.headers.get("cookie") for one in server.requests] == [None, None, "balancer=7"]
