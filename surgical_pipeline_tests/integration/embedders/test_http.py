import socket
import time
from dataclasses import replace

import numpy as np
import pytest

from surgical_pipeline.embedders.http import HttpEmbedder, HttpLimits
from surgical_pipeline.embedders.protocol import BLANK_TEXT, EmbedderError
from surgical_pipeline_tests.integration.embedders.conftest import KEY, LIMITS, FakeSleep
from surgical_pipeline_tests.integration.embedders.embedding_server import (
    DIMENSION,
    EmbeddingServer,
    Reply,
    break_off,
    hang,
    status,
    trickle,
    vector_of,
)


def test_vectors_come_back_normalized_in_the_order_of_the_texts(embedder: HttpEmbedder) -> None:
    texts = ["a", "banana", "漢字"]

    result = embedder.embed(texts)

    expected = np.array([vector_of(text) for text in texts])
    np.testing.assert_allclose(result, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)
    assert result.dtype == np.float32
    assert embedder.name == "http:nomic"


def test_texts_go_in_batches(server: EmbeddingServer) -> None:
    embedder = HttpEmbedder(server.url, "nomic", limits=replace(LIMITS, batch_size=3))

    assert embedder.embed([str(i) for i in range(8)]).shape == (8, DIMENSION)
    assert [request["input"] for request in server.requests] == [["0", "1", "2"], ["3", "4", "5"], ["6", "7"]]
    assert {request["model"] for request in server.requests} == {"nomic"}


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/embeddings", "/v1/embeddings/"])
def test_the_url_may_end_anywhere_on_the_way(server: EmbeddingServer, path: str) -> None:
    assert HttpEmbedder(server.url + path, "nomic").embed(["a"]).shape == (1, DIMENSION)


def test_the_key_travels_in_a_header_only(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    embedder.embed(["a"])

    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(server.requests)
    assert KEY not in repr(embedder)


def test_without_a_key_there_is_no_header(server: EmbeddingServer) -> None:
    HttpEmbedder(server.url, "nomic", api_key=" ").embed(["a"])

    assert "authorization" not in server.headers[0]


def test_blank_and_broken_texts_are_sent_mended(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    embedder.embed(["", "a\ud800"])

    assert server.requests[0]["input"] == [BLANK_TEXT, "a\ufffd"]


def test_the_dimension_is_learned_by_asking_once(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    assert embedder.dimension == DIMENSION
    assert embedder.dimension == DIMENSION
    assert len(server.requests) == 1


def test_no_texts_ask_for_no_vectors(server: EmbeddingServer) -> None:
    embedder = HttpEmbedder(server.url, "nomic", dimension=DIMENSION)

    assert embedder.embed([]).shape == (0, DIMENSION)
    assert not server.requests


def test_an_estimate_of_tokens_is_cautious(embedder: HttpEmbedder) -> None:
    assert embedder.count_tokens("") == 0
    assert embedder.count_tokens("abcd") == 2
    assert embedder.count_tokens("漢字") == 2
    assert embedder.count_tokens("\ud800") == 1


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_an_error_that_passes_is_retried(
    embedder: HttpEmbedder, server: EmbeddingServer, sleep: FakeSleep, code: int
) -> None:
    server.script = [status(code), status(code)]

    assert embedder.embed(["a"]).shape == (1, DIMENSION)
    assert len(server.requests) == 3
    assert 0 < sleep.slept[0] <= LIMITS.first_wait < sum(sleep.slept) <= 3 * LIMITS.first_wait


def test_a_broken_connection_is_tried_again(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    server.script = [break_off]

    assert embedder.embed(["a"]).shape == (1, DIMENSION)


def test_retry_after_is_obeyed(embedder: HttpEmbedder, server: EmbeddingServer, sleep: FakeSleep) -> None:
    server.script = [status(429, "slow down", {"Retry-After": "7"})]

    embedder.embed(["a"])

    assert sleep.slept == [7]


def test_a_server_that_asks_for_too_much_patience_is_given_up_at_once(
    embedder: HttpEmbedder, server: EmbeddingServer, sleep: FakeSleep
) -> None:
    server.script = [status(429, "come back tomorrow", {"Retry-After": "86400"})]

    with pytest.raises(EmbedderError, match=r"answered 429: come back tomorrow \(asked once\)"):
        embedder.embed(["a"])
    assert not sleep.slept


def test_a_server_that_keeps_failing_is_given_up(embedder: HttpEmbedder, server: EmbeddingServer) -> None:
    server.script = [status(500, "out of memory")] * 9

    with pytest.raises(EmbedderError, match=r"answered 500: out of memory \(asked 4 times\)") as caught:
        embedder.embed(["a"])
    assert len(server.requests) == LIMITS.attempts
    assert not caught.value.rejected


@pytest.mark.parametrize(
    ("code", "said", "rejected"),
    [
        (400, "answered 400: input is too long", True),
        (413, "answered 413", True),
        (422, "answered 422", True),
        (401, "check SURGICAL_EMBEDDER_API_KEY", False),
        (403, "check SURGICAL_EMBEDDER_API_KEY", False),
        (404, "check SURGICAL_EMBEDDER_URL and SURGICAL_EMBEDDER_MODEL", False),
        (302, "answered 302", False),
        (204, "answered 204", False),
    ],
)
def test_an_error_that_lasts_is_not_retried(
    embedder: HttpEmbedder, server: EmbeddingServer, code: int, said: str, rejected: bool
) -> None:
    body = "" if code == 204 else '{"error": {"message": "input is too long"}}'
    server.script = [status(code, body, {"Location": "/v1/embeddings"} if code == 302 else None)]

    with pytest.raises(EmbedderError, match=said) as caught:
        embedder.embed(["a"])
    assert len(server.requests) == 1
    assert caught.value.rejected is rejected


def test_a_server_that_repeats_the_key_does_not_get_it_into_the_message(
    embedder: HttpEmbedder, server: EmbeddingServer
) -> None:
    server.script = [status(401, f"invalid key {KEY}")]

    with pytest.raises(EmbedderError, match=r"invalid key \*\*\*") as caught:
        embedder.embed(["a"])
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("reply", [hang, trickle])
def test_a_server_that_hangs_is_given_up(server: EmbeddingServer, reply: Reply, sleep: FakeSleep) -> None:
    server.script = [reply, reply]
    limits = HttpLimits(request_timeout=0.2, attempts=2)

    began = time.monotonic()
    with pytest.raises(EmbedderError, match=r"did not answer within 0.2 s \(asked 2 times\)"):
        HttpEmbedder(server.url, "nomic", limits=limits, sleep=sleep).embed(["a"])

    assert time.monotonic() - began < 5


def test_a_call_is_bounded_however_many_attempts_are_left(server: EmbeddingServer) -> None:
    server.script = [hang] * 20
    limits = HttpLimits(call_timeout=0.5, request_timeout=0.2, attempts=20, first_wait=0.001)

    began = time.monotonic()
    with pytest.raises(EmbedderError, match="did not answer"):
        HttpEmbedder(server.url, "nomic", limits=limits).embed(["a"])

    assert time.monotonic() - began < 5
    assert len(server.requests) < 20


def test_a_server_that_is_not_there_is_an_embedder_error(sleep: FakeSleep) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    embedder = HttpEmbedder(f"http://127.0.0.1:{port}", "nomic", limits=LIMITS, sleep=sleep)

    with pytest.raises(EmbedderError, match=rf"127.0.0.1:{port}/v1/embeddings cannot be reached"):
        embedder.embed(["a"])
    assert len(sleep.slept) == LIMITS.attempts - 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:11434", "begins with http:// or https://"),
        ("ftp://localhost", "begins with http:// or https://"),
        ("http://", "begins with http:// or https://"),
        ("", "begins with http:// or https://"),
        ("http://host:port", "is not a URL"),
        ("http://user:pw@localhost", "must carry no password"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, said: str) -> None:
    with pytest.raises(EmbedderError, match=said) as caught:
        HttpEmbedder(url, "nomic")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "ключ", "nul\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(EmbedderError, match="SURGICAL_EMBEDDER_API_KEY holds characters") as caught:
        HttpEmbedder("http://localhost", "nomic", api_key=key)
    assert key not in str(caught.value)
