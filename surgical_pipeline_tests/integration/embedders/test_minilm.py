"""The real model. The extra brings torch, a gigabyte and more, so these tests run where it is installed.

CI installs it where the machine can have it, and says so.
"""

from pathlib import Path

import numpy as np

from surgical_pipeline.embedders.registry import create_embedder
from surgical_pipeline_tests.integration.embedders.local_models import MINILM, MINILM_IS_MISSING, embed_offline

pytestmark = MINILM_IS_MISSING


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


def test_it_works_without_a_home_directory_or_a_network(tmp_path: Path) -> None:
    embed_offline(MINILM, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
