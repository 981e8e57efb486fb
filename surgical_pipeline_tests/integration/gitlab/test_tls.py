"""HTTPS: whom the client trusts, and HTTP/2 where the server offers it."""

import asyncio
import logging
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import NetworkError
from surgical_pipeline.gitlab.retry import RetryPolicy
from surgical_pipeline_tests.integration.gitlab.api import GOOD_VERSION, VERSION
from surgical_pipeline_tests.integration.gitlab.http2_server import Http2Server
from surgical_pipeline_tests.integration.gitlab.tiny_proxy import TinyProxy
from surgical_pipeline_tests.integration.gitlab.wire_server import WireServer, eventually

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the test's certificate"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate that nobody but its owner trusts, for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gitlab"
    subprocess.run(
        [
            *command.split(),
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


async def test_a_server_that_cannot_prove_who_it_is_never_sees_the_token(
    server_side: ssl.SSLContext, token: str, deadline: Deadline
) -> None:
    async with WireServer(server_side) as server:
        retry = RetryPolicy(max_attempts=1)
        async with GitLabClient(server.url, token, retry=retry) as client:
            with pytest.raises(NetworkError, match="certificate verify failed"):
                await client.version(deadline)
        assert server.requests == []


async def test_a_ca_bundle_makes_a_private_server_trusted(
    certificate: tuple[Path, Path], server_side: ssl.SSLContext, token: str, deadline: Deadline
) -> None:
    async with WireServer(server_side) as server:
        server.on(VERSION, GOOD_VERSION)
        async with GitLabClient(server.url, token, ca_bundle=certificate[0]) as client:
            assert await client.version(deadline) == "18.5.1"


async def test_https_through_a_proxy_is_verified_and_hides_the_token_from_it(
    certificate: tuple[Path, Path],
    server_side: ssl.SSLContext,
    token: str,
    deadline: Deadline,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(os.environ):
        if name.lower() == "no_proxy":
            monkeypatch.delenv(name)
    async with TinyProxy() as proxy, WireServer(server_side) as server:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        server.on(VERSION, GOOD_VERSION)
        async with GitLabClient(server.url, token, ca_bundle=certificate[0]) as client:
            assert await client.version(deadline) == "18.5.1"
        assert proxy.asked == [f"CONNECT {server.url.removeprefix('https://')} HTTP/1.1"]
        assert not [head for head in proxy.heads if token.encode() in head]
        retry = RetryPolicy(max_attempts=1)
        async with GitLabClient(server.url, token, retry=retry) as client:
            with pytest.raises(NetworkError, match="certificate verify failed"):
                await client.version(deadline)
        assert len(server.requests) == 1


async def test_requests_share_one_http2_connection_and_its_logs_hide_the_token(
    certificate: tuple[Path, Path],
    server_side: ssl.SSLContext,
    token: str,
    deadline: Deadline,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Http2Server(server_side, b'{"version": "18"}') as server:
        async with GitLabClient(server.url, token, ca_bundle=certificate[0], max_in_flight=4) as client:
            server.gate.set()
            await client.version(deadline)
            server.gate.clear()
            asked = [asyncio.create_task(client.version(deadline)) for _ in range(10)]
            await eventually(lambda: server.open_streams == 4)
            asked[0].cancel()
            server.gate.set()
            answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [str(answer) for answer in answers[1:]] == ["18"] * 9
        assert server.connections == 1
        assert server.peak_streams <= 5
        assert {headers[b"private-token"] for headers in server.headers} == {token.encode()}
    assert not [record for record in caplog.records if token in record.getMessage()]
