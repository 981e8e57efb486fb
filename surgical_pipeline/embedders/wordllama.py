"""WordLlama: static token vectors, averaged. Its weights come in its wheel, so it works offline and at once."""

import functools
import importlib.util
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from surgical_pipeline.embedders.protocol import EmbedderError, checked, prepared

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors

_DIMENSION = 256
_MAX_TOKENS = 512
"""The model has no limit of its own; the average of a longer text says little about any part of it."""

_BATCH = 256
"""Texts that are tokenized at once: enough for all cores, little memory."""

_loading = threading.Lock()


class WordLlamaEmbedder:
    """The default embedder: 256 dimensions, thousands of texts a second on a core. Loaded once in a process."""

    name = f"wordllama-{_DIMENSION}"
    dimension = _DIMENSION
    max_tokens = _MAX_TOKENS

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text``. See ``Embedder``."""
        (ready,) = prepared([text])
        return len(_model().tokenizer.encode(ready, add_special_tokens=False).ids)

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """One unit vector for each text; the same text gives the same vector in any company. See ``Embedder``.

        Each text is averaged by itself: the library pads a batch to its longest text, which takes three times
        as long for the same figures.
        """
        import numpy as np  # noqa: PLC0415  numpy takes 0.1 s to import

        model = _model()
        ready = prepared(texts)
        vectors = np.zeros((len(ready), _DIMENSION), dtype=np.float32)
        for start in range(0, len(ready), _BATCH):
            batch = ready[start : start + _BATCH]
            for row, encoding in enumerate(model.tokenizer.encode_batch(batch, add_special_tokens=False), start):
                model.embedding.take(encoding.ids, axis=0, mode="clip").mean(axis=0, out=vectors[row])
        return checked(vectors, ready, _DIMENSION)


def _model() -> Any:
    with _loading:
        return _load()


@functools.cache
def _load() -> Any:
    """The library's inference object. Never downloads: what the wheel lacks is an error."""
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise EmbedderError("the package wordllama is not installed: pip install wordllama")
    try:
        with _root_logger_kept():
            from wordllama import WordLlama  # noqa: PLC0415  takes 0.3 s to import
        model = WordLlama.load(cache_dir=Path(spec.origin).parent, disable_download=True)
    except (ImportError, OSError, ValueError) as error:
        raise EmbedderError(
            f"wordllama cannot be loaded ({error}). Install it again: pip install --force-reinstall wordllama"
        ) from error
    model.tokenizer.no_padding()
    return model


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Importing wordllama calls ``logging.basicConfig``, which does nothing while the root has a handler."""
    root = logging.getLogger()
    placeholder = logging.NullHandler()
    root.addHandler(placeholder)
    try:
        yield
    finally:
        root.removeHandler(placeholder)
