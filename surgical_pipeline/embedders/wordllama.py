"""WordLlama: static token vectors, averaged. Its weights are in its wheel, so it works offline and immediately."""

import functools
import importlib.util
import re
import threading
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgical_pipeline.embedders.protocol import EmbedderError, checked, prepared

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors

_DIMENSION = 256
_WEIGHTS = f"l2_supercat_{_DIMENSION}.safetensors"
_TOKENIZER = "l2_supercat_tokenizer_config.json"
_MAX_TOKENS = 512
"""The model has no limit of its own; the average of a longer text says little about any part of it."""

_WORD = re.compile(r"\n+|[ ▁]*[^ ▁\n]+|[ ▁]+")
"""Line feeds, or a word with the blanks before it; ``▁`` is how the model writes a blank."""

_KEPT_WORDS = 2**17
_LONGEST_KEPT_WORD = 32
"""A megabyte of a pasted log has 30,000 words, each looked up several times. All kept words take 20 to 30 MB."""

_loading = threading.Lock()


class WordLlamaEmbedder:
    """The default embedder: 256 dimensions, thousands of texts per second on one core. Loaded once per process."""

    name = f"wordllama-{_DIMENSION}"
    dimension = _DIMENSION
    max_tokens = _MAX_TOKENS

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text``. See ``Embedder``."""
        (ready,) = prepared([text])
        return _loaded().tokenizer.count(ready)

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """One unit vector for each text; the same text gives the same vector in any batch. See ``Embedder``.

        Each text is averaged separately: the library pads a batch to its longest text, which takes three times
        as long for the same result.
        """
        import numpy as np  # noqa: PLC0415  numpy takes 0.1 s to import

        model = _loaded()
        ready = prepared(texts)
        vectors = np.zeros((len(ready), _DIMENSION), dtype=np.float32)
        for row, text in enumerate(ready):
            ids = np.frombuffer(model.tokenizer.ids(text), dtype=np.intc)
            model.table.take(ids, axis=0, mode="clip").mean(axis=0, out=vectors[row])
        return checked(vectors, ready, _DIMENSION)


class _WordIds(dict[str, bytes]):
    """The ids of words, with common words cached: bytes, one C ``int`` per id."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __missing__(self, word: str) -> bytes:
        ids = array("i", [token.id for token in self._model.tokenize(word.replace(" ", "▁"))]).tobytes()
        if len(word) <= _LONGEST_KEPT_WORD:
            if len(self) >= _KEPT_WORDS:
                self.clear()
            self[word] = ids
        return ids


class WordTokenizer:
    """Returns the same ids as the library's ``tokenizer``, word by word, several times as fast.

    No token of the model's vocabulary crosses the beginning of a word or of a line, so the ids of a text are those
    of its words, one after the other.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._word_ids = _WordIds(tokenizer.model)
        special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
        self._special = re.compile("|".join(map(re.escape, special)))

    def count(self, text: str) -> int:
        return sum(map(len, self._parts(text))) // array("i").itemsize

    def ids(self, text: str) -> bytes:
        """One C ``int`` for each token."""
        return b"".join(self._parts(text))

    def _parts(self, text: str) -> Iterable[bytes]:
        if not text or self._special.search(text):  # the library begins a new text after each of these
            return (array("i", self._tokenizer.encode(text, add_special_tokens=False).ids).tobytes(),)
        return map(self._word_ids.__getitem__, _WORD.findall(f" {text}"))


def _loaded() -> "_Model":
    with _loading:
        return _load()


@dataclass(frozen=True, slots=True)
class _Model:
    tokenizer: WordTokenizer
    table: "Vectors"
    """A row for each token."""


@functools.cache
def _load() -> _Model:
    """Weights and tokenizer from the library's wheel. Never downloads: a file missing from the wheel is an error.

    The library's own loader gives the same, but also imports code for downloads, splitting and clustering, and
    sets up logging.
    """
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise EmbedderError("the package wordllama is not installed: pip install wordllama")
    folder = Path(spec.origin).parent
    try:
        import numpy as np  # noqa: PLC0415  takes 0.1 s to import
        from safetensors import SafetensorError  # noqa: PLC0415  with numpy
        from safetensors.numpy import load  # noqa: PLC0415  with numpy
        from tokenizers import Tokenizer  # noqa: PLC0415  only what is embedded needs it

        tokenizer = Tokenizer.from_buffer((folder / "tokenizers" / _TOKENIZER).read_bytes())
        table = load((folder / "weights" / _WEIGHTS).read_bytes())["embedding.weight"]
    except (ImportError, OSError, ValueError, KeyError, SafetensorError) as error:
        raise EmbedderError(
            f"wordllama cannot be loaded ({error}). Install it again: pip install --force-reinstall wordllama"
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return _Model(WordTokenizer(tokenizer), table.astype(np.float32))
