"""What the embedder over HTTP makes of answers that are no vectors, or not those of the texts."""

import pytest

from surgical_pipeline.embedders import http
from surgical_pipeline.embedders.http import HttpEmbedder
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline_tests.integration.embedders.conftest import LIMITS
from surgical_pipeline_tests.integration.embedders.embedding_server import (
    DIMENSION,
    EmbeddingServer,
    Reply,
    status,
    vectors,
)

GOOD = [1.0, 2.0, 3.0, 4.0]
NAN = float("nan")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (vectors(GOOD), "1 vectors for 2 texts"),
        (vectors(GOOD, GOOD, GOOD), "3 vectors for 2 texts"),
        (vectors(GOOD, [NAN, 1.0, 1.0, 1.0]), "text 2 holds NaN"),
        (vectors([float("inf"), 1.0, 1.0, 1.0], GOOD), "text 1 holds NaN, infinity"),
        (vectors(GOOD, [None, 1.0, 1.0, 1.0]), "text 2 holds NaN"),
        (vectors(GOOD, [0.0] * 4), "text 2 holds NaN, infinity or only zeros"),
        (vectors(GOOD, GOOD[:3]), "not a table of numbers"),
        (vectors(GOOD[:3], GOOD[:3]), r"shape \(2, 3\), not \(2, 4\)"),
        (vectors([], []), r"shape \(2, 0\), not \(2, 4\)"),
        (vectors("AACAPw==", "AACAPw=="), "not a table of numbers"),
        (status(200, "<html>login</html>"), "no JSON: <html>login</html>"),
        (status(200, '{"detail": "hi"}'), "is it OpenAI-compatible"),
    ],
)
def test_an_answer_that_is_no_vector_for_each_text_is_refused(
    server: EmbeddingServer, reply: Reply, said: str
) -> None:
    server.script = [reply]
    embedder = HttpEmbedder(server.url, "nomic", dimension=DIMENSION, limits=LIMITS)

    with pytest.raises(EmbedderError, match=said):
        embedder.embed(["a", "b"])


def test_a_dimension_that_changes_is_refused(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    embedder.embed(["a"])
    server.script = [vectors([1.0, 2.0])]

    with pytest.raises(EmbedderError, match=r"shape \(1, 2\), not \(1, 4\)"):
        embedder.embed(["a"])


def test_a_first_answer_without_numbers_teaches_no_dimension(
    embedder: HttpEmbedder, server: EmbeddingServer
) -> None:
    server.script = [vectors([])]

    with pytest.raises(EmbedderError):
        embedder.embed(["a"])
    assert embedder.dimension == DIMENSION


def test_an_endless_answer_is_cut_off(
    embedder: HttpEmbedder, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_LARGEST_ANSWER", 1000)
    server.script = [status(200, "x" * 100_000)]

    with pytest.raises(EmbedderError, match="sent more than"):
        embedder.embed(["a"])
