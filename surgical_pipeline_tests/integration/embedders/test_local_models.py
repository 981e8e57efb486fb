"""What is asked of every model that runs in this process, whichever it is."""

import numpy as np
import pytest

from surgical_pipeline.documents.chunks import split_into_chunks
from surgical_pipeline.embedders.protocol import BLANK_TEXT, Embedder
from surgical_pipeline.embedders.registry import create_embedder
from surgical_pipeline_tests.integration.embedders.local_models import (
    MINILM,
    MINILM_IS_MISSING,
    WORDLLAMA,
    LocalModel,
)


@pytest.fixture(params=[WORDLLAMA, pytest.param(MINILM, marks=MINILM_IS_MISSING)], ids=lambda one: one.backend)
def model(request: pytest.FixtureRequest) -> LocalModel:
    found: LocalModel = request.param
    return found


@pytest.fixture
def embedder(model: LocalModel) -> Embedder:
    return create_embedder(model.backend)


def test_it_says_what_is_stored_beside_its_vectors(model: LocalModel, embedder: Embedder) -> None:
    assert (embedder.name, embedder.dimension) == (model.name, model.dimension)


def test_near_meanings_are_nearer_than_far_ones(model: LocalModel, embedder: Embedder) -> None:
    leak, drip, cake = embedder.embed(
        ["The fuel pump is leaking", "Fuel drips from the pump", "A recipe for chocolate cake"]
    )
    assert leak @ drip > leak @ cake + model.margin


def test_every_vector_has_length_one_whatever_the_text(model: LocalModel, embedder: Embedder) -> None:
    vectors = embedder.embed(["a", "漢字 😀🚀", "x" * 10_000, "code = {'a': 1}", "a\ud800"])
    assert vectors.shape == (5, model.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("blank", ["", "  ", "\n\t", "\x00"])
def test_a_text_without_a_word_has_the_vector_of_the_word_empty(
    model: LocalModel, embedder: Embedder, blank: str
) -> None:
    (found,), (expected,) = embedder.embed([blank]), embedder.embed([BLANK_TEXT])
    np.testing.assert_allclose(found, expected, rtol=0, atol=model.tolerance)


def test_chunks_of_real_text_respect_the_limit(embedder: Embedder) -> None:
    content = "\n\n".join(f"Paragraph {i}: " + "the pump leaks at low pressure. " * 9 for i in range(60))
    chunks = split_into_chunks("Pump", content, count_tokens=embedder.count_tokens, max_tokens=embedder.max_tokens)
    counts = [embedder.count_tokens(chunk) for chunk in chunks]
    assert max(counts) <= embedder.max_tokens
    assert min(counts[:-1]) > embedder.max_tokens // 2
