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

from surgical_pipeline.documents.chunks import split_into_chunks
from surgical_pipeline.embedders.protocol import BLANK_TEXT
from surgical_pipeline.embedders.registry import create_embedder
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder, WordTokenizer

EMBEDDER = WordLlamaEmbedder()


def test_it_says_what_is_stored_beside_its_vectors() -> None:
    assert (EMBEDDER.name, EMBEDDER.dimension) == ("wordllama-256", 256)


def test_near_meanings_are_nearer_than_far_ones() -> None:
    leak, drip, cake = EMBEDDER.embed(
        ["The fuel pump is leaking", "Fuel drips from the pump", "A recipe for chocolate cake"]
    )

    assert leak @ drip > leak @ cake + 0.2


def test_every_vector_has_length_one() -> None:
    vectors = EMBEDDER.embed(["a", "漢字 😀", "x" * 10_000, "code = {'a': 1}"])

    assert vectors.shape == (4, 256)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("blank", ["", "  ", "\n\t", "\x00"])
def test_a_text_without_a_word_has_the_vector_of_the_word_empty(blank: str) -> None:
    (vector,) = EMBEDDER.embed([blank])

    np.testing.assert_array_equal(vector, EMBEDDER.embed([BLANK_TEXT])[0])


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
    text = " ".join(map(str, range(2**15 + 10)))

    assert tokenizer.count(text) == len(library.tokenizer.encode(text, add_special_tokens=False).ids)
    assert 0 < len(tokenizer._word_ids) <= 2**15


def test_threads_share_one_model() -> None:
    texts = [f"text {i}" for i in range(50)]
    alone = EMBEDDER.embed(texts)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: create_embedder().embed(texts), range(16)))

    for result in results:
        np.testing.assert_array_equal(result, alone)


def test_chunks_of_real_text_respect_the_limit() -> None:
    content = "\n\n".join(f"Paragraph {i}: " + "the pump leaks at low pressure. " * 9 for i in range(60))

    chunks = split_into_chunks("Pump", content, count_tokens=EMBEDDER.count_tokens, max_tokens=EMBEDDER.max_tokens)

    counts = [EMBEDDER.count_tokens(chunk) for chunk in chunks]
    assert max(counts) <= EMBEDDER.max_tokens
    assert min(counts[:-1]) > EMBEDDER.max_tokens // 2


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


def test_it_works_without_a_home_directory_or_a_network(tmp_path: Path) -> None:
    program = """
import socket
def refuse(*args, **kwargs):
    raise OSError("no network here")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
from surgical_pipeline.embedders.registry import create_embedder
assert create_embedder("wordllama").embed(["text"]).shape == (1, 256)
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environment)

    assert not list(tmp_path.iterdir())
