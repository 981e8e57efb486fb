import subprocess
import sys

import pytest

from surgical_pipeline.embedders.http import HttpEmbedder
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.embedders.registry import DEFAULT_EMBEDDER, EMBEDDER_NAMES, create_embedder
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder


def test_the_default_is_wordllama() -> None:
    assert DEFAULT_EMBEDDER == "wordllama"
    assert isinstance(create_embedder(), WordLlamaEmbedder)


def test_http_takes_its_settings() -> None:
    embedder = create_embedder("http", url="http://localhost:11434/v1", model="nomic-embed-text", api_key="k")

    assert isinstance(embedder, HttpEmbedder)
    assert embedder.name == "http:nomic-embed-text"


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(EmbedderError, match=r"no embedder 'bert'; .* one of wordllama, http, minilm"):
        create_embedder("bert")


@pytest.mark.parametrize(("url", "model"), [(None, "m"), ("", "m"), ("http://localhost", None), (None, None)])
def test_http_without_url_or_model_says_what_to_set(url: str | None, model: str | None) -> None:
    with pytest.raises(EmbedderError, match=r"SURGICAL_EMBEDDER_URL .* SURGICAL_EMBEDDER_MODEL"):
        create_embedder("http", url=url, model=model)


@pytest.mark.parametrize("name", EMBEDDER_NAMES)
def test_making_an_embedder_loads_no_model(name: str) -> None:
    """Start-up is what a user waits for: weights, numpy and wordllama come with the first text."""
    program = f"""
import sys
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.embedders.registry import create_embedder
try:
    create_embedder({name!r}, url="http://localhost", model="m")
except EmbedderError:
    assert {name!r} == "minilm"
loaded = {{"numpy", "wordllama", "torch", "sentence_transformers"}} & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
