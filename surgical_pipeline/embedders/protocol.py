"""What every embedder promises, and the one place where its answers are checked.

``EmbedderError`` is the only exception that an embedder raises for anything but the caller's mistake.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.foreign_text import well_formed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Vectors = NDArray[np.float32]
    """Shape ``(n, dimension)``: a unit vector for each text."""

BLANK_TEXT = "empty"
"""Embedded instead of a text without words: models return NaN or zeros for it, and neither has a direction."""

_SHORTEST = 1e-12
"""A vector shorter than this has no direction that survives rounding."""


class EmbedderError(Exception):
    """There are no vectors. The message says which embedder, what happened and what to do.

    ``rejected``: one of these texts is the cause (too long, or its vector is NaN); the others may succeed.
    """

    code: ClassVar[FailureCode] = FailureCode.EMBEDDER_ERROR

    def __init__(self, message: str, *, rejected: bool = False) -> None:
        self.rejected = rejected
        super().__init__(message)


class Embedder(Protocol):
    """Turns texts into vectors. Safe to share between threads; loads or connects at first use, not before."""

    @property
    def name(self) -> str:
        """Identity of the model, as stored with each vector, such as ``wordllama-256``."""

    @property
    def dimension(self) -> int:
        """Length of each vector."""

    @property
    def max_tokens(self) -> int:
        """Longest text, in tokens, that the model uses in full."""

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text``; at least as many as the model will see.

        Raises:
            EmbedderError: the model cannot be loaded.
        """

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Unit vectors in the order of ``texts``; shape ``(0, dimension)`` for none.

        A text without words gets the vector of ``BLANK_TEXT``: never NaN, never zeros.

        Raises:
            EmbedderError: no usable vector for at least one of the texts.
        """


def prepared(texts: Sequence[str]) -> list[str]:
    """The texts as a tokenizer takes them: well-formed, and ``BLANK_TEXT`` for those without words."""
    return [text if (text := well_formed(raw)).strip() else BLANK_TEXT for raw in texts]


def checked(vectors: "ArrayLike", texts: Sequence[str], dimension: int) -> "Vectors":
    """``vectors`` as float32 rows of length one, a row for each text.

    Raises:
        EmbedderError: another number or length of vectors, something that is not a number, NaN, infinity, or a
            vector of zeros.
    """
    import numpy as np  # noqa: PLC0415  numpy takes 0.1 s to import

    if not len(texts):
        return np.zeros((0, dimension), dtype=np.float32)
    try:
        rows = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EmbedderError(f"the embedder's answer is not a table of numbers: {error}") from error
    if rows.shape != (len(texts), dimension):
        raise EmbedderError(
            f"the embedder answered with vectors of shape {rows.shape}, not {(len(texts), dimension)}: "
            "one vector of the model's dimension for each text"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > _SHORTEST)))
    if bad.size:
        said = f"the embedder's vector of text {int(bad[0]) + 1} holds NaN, infinity or only zeros"
        raise EmbedderError(said, rejected=True)
    unit: Vectors = (rows / lengths).astype(np.float32)
    return unit
