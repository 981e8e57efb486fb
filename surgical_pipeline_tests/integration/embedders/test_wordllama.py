import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wordllama
from hypothesis import example, given
from hypothesis import strategies as st

from surgical_pipeline.embedders.registry import create_embedder
from surgical_pipeline.embedders.wordllama import _KEPT_WORDS, WordLlamaEmbedder, WordTokenizer
from surgical_pipeline_tests.integration.embedders.local_models import WORDLLAMA, embed_offline

EMBEDDER = WordLlamaEmbedder()


def test_an_unpaired_surrogate_is_no_error() -> None:
    assert np.isfinite(EMBEDDER.embed(["\ud800"])).all()
    assert EMBEDDER.count_tokens("\ud800") > 0


def test_no_texts_give_no_vectors() -> None:
    assert EMBEDDER.embed([]).shape == (0, 256)


def test_a_text_has_the_same_vector_in_any_company() -> None:
    texts = [f"text {i} " * (1 + i % 40) for i in range(600)]

    together = EMBEDDER.embed(texts)

    for i in (0, 39, 255, 256, 599):
        np.testing.assert_array_equal(together[i], EMBEDDER.embed([texts[i]])[0])


@pytest.fixture(scope="module")
def library() -> Any:
    """WordLlama as its authors would use it."""
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)


def test_its_vectors_are_the_librarys_own(library: Any) -> None:
    """Tokenizing by words and averaging here instead of in padded batches changes nothing but the time."""
    texts = ["The fuel pump is leaking", "def f(x):\n    return  {'a': 1}\n", "漢字 😀 <s>struck</s> out"]

    for text in texts:
        np.testing.assert_allclose(EMBEDDER.embed([text]), library.embed(text, norm=True), atol=1e-6)


BLANKS = [" ", "  ", "\n", "\t", "▁", "\r", "\xa0", "\u3000"]
WORDS = ["a", "word", "x_y", "é", "e\u0301", "漢字", "😀", "ﬁ", "```", "23", "'s", "\x01", "word" * 20]
SPECIAL = ["<s>", "</s>", "<unk>", "<s"]
parts = st.sampled_from([*BLANKS, *WORDS, *SPECIAL])


@example("a▁   b▁ ")
@example("")
@example("a <s> b")
@given(st.lists(parts, max_size=12).map("".join) | st.text())
def test_its_tokens_are_the_librarys_own(library: Any, text: str) -> None:
    tokenizer = WordTokenizer(library.tokenizer)

    for _ in range(2):  # once more from memory
        found = np.frombuffer(tokenizer.ids(text), dtype=np.intc).tolist()
        assert found == library.tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.count(text) == len(found)


def test_more_words_than_it_remembers_are_no_error(library: Any) -> None:
    tokenizer = WordTokenizer(library.tokenizer)
    text = " ".join(map(str, range(_KEPT_WORDS + 10)))

    assert tokenizer.count(text) == len(library.tokenizer.encode(text, add_special_tokens=False).ids)
    assert 0 < len(tokenizer._word_ids) <= _KEPT_WORDS


def test_threads_share_one_model() -> None:
    texts = [f"text {i}" for i in range(50)]
    alone = EMBEDDER.embed(texts)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: create_embedder().embed(texts), range(16)))

    for result in results:
        np.testing.assert_array_equal(result, alone)


def test_first_use_from_many_threads_loads_once_and_leaves_logging_alone() -> None:
    program = """
import logging
from concurrent.futures import ThreadPoolExecutor
from surgical_pipeline.embedders import wordllama
embedder = wordllama.WordLlamaEmbedder()
with ThreadPoolExecutor(8) as pool:
    list(pool.map(embedder.count_tokens, ["a"] * 16))
assert wordllama._load.cache_info().misses == 1
assert not logging.getLogger().handlers
assert logging.getLogger().level == logging.WARNING
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_library_itself_is_not_imported() -> None:
    """It brings what downloads, splits and clusters, and sets up logging."""
    program = """
import sys
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder
assert WordLlamaEmbedder().embed(["a"]).shape == (1, 256)
assert not {"wordllama", "requests"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("weights", [None, b"not safetensors"], ids=["missing", "damaged"])
def test_a_wheel_without_usable_weights_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: bytes | None
) -> None:
    package = tmp_path / "wordllama"
    shutil.copytree(Path(wordllama.__file__).parent / "tokenizers", package / "tokenizers")
    (package / "__init__.py").touch()
    (package / "weights").mkdir()
    if weights:
        (package / "weights" / "l2_supercat_256.safetensors").write_bytes(weights)
    program = """
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder
WordLlamaEmbedder().embed(["a"])
"""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert "EmbedderError: wordllama cannot be loaded" in done.stderr
    assert "pip install --force-reinstall wordllama" in done.stderr


def test_it_works_without_a_home_directory_or_a_network(tmp_path: Path) -> None:
    embed_offline(WORDLLAMA, tmp_path)

    assert not list(tmp_path.iterdir())
