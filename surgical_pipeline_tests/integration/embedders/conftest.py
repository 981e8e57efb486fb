"""An embedder over HTTP and its server."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from surgical_pipeline.embedders.http import HttpEmbedder, HttpLimits
from surgical_pipeline_tests.integration.embedders.embedding_server import EmbeddingServer, good, running_server

KEY = "sk-very-secret"
LIMITS = HttpLimits(first_wait=0.001)


@dataclass
class FakeSleep:
    """Remembers how long it should have slept."""

    slept: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture(scope="module")
def shared_server() -> Iterator[EmbeddingServer]:
    with running_server() as server:
        yield server


@pytest.fixture
def server(shared_server: EmbeddingServer) -> EmbeddingServer:
    """One that answers well until it is given a script."""
    shared_server.script.clear()
    shared_server.requests.clear()
    shared_server.headers.clear()
    shared_server.always = good
    return shared_server


@pytest.fixture
def sleep() -> FakeSleep:
    return FakeSleep()


@pytest.fixture
def embedder(server: EmbeddingServer, sleep: FakeSleep) -> HttpEmbedder:
    """One that asks ``server`` and does not really wait."""
    return HttpEmbedder(server.url, "nomic", api_key=KEY, limits=LIMITS, sleep=sleep)
