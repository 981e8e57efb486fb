"""An embedder that computes nothing, so that tests of the stage need no model."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from surgical_pipeline.embedders.protocol import EmbedderError, checked

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors


class FakeEmbedder:
    """Gives each text a vector of its length; a token is a word.

    ``fails_on_calls``: which calls (1 is the first) raise EmbedderError. ``takes_seconds``: of each call.
    ``refuses``: a word; a call with a text that holds it is rejected. ``calls``: the texts of each call, in order.
    """

    def __init__(
        self,
        *,
        name: str = "fake-3",
        max_tokens: int = 400,
        fails_on_calls: Sequence[int] = (),
        takes_seconds: float = 0,
        refuses: str | None = None,
    ) -> None:
        self.name = name
        self.dimension = 3
        self.max_tokens = max_tokens
        self.calls: list[tuple[str, ...]] = []
        self._fails_on_calls = fails_on_calls
        self._takes_seconds = takes_seconds
        self._refuses = refuses

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def embed(self, texts: Sequence[str]) -> "Vectors":
        self.calls.append(tuple(texts))
        threading.Event().wait(self._takes_seconds)
        if len(self.calls) in self._fails_on_calls:
            raise EmbedderError("the fake embedder was told to fail")
        if self._refuses and any(self._refuses in text for text in texts):
            raise EmbedderError("the fake embedder takes no such text", rejected=True)
        return checked([[len(text), 1, 1] for text in texts], texts, self.dimension)
