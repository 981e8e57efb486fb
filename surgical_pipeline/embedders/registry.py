"""Which embedders there are, by the names that ``SURGICAL_EMBEDDER`` takes."""

from pydantic import BaseModel, ConfigDict, SecretStr

from surgical_pipeline.embedders.minilm import MiniLmEmbedder
from surgical_pipeline.embedders.protocol import Embedder, EmbedderError
from surgical_pipeline.embedders.wordllama import WordLlamaEmbedder

EMBEDDER_NAMES = ("wordllama", "http", "minilm")
DEFAULT_EMBEDDER = EMBEDDER_NAMES[0]


def create_embedder(
    name: str = DEFAULT_EMBEDDER,
    *,
    url: str | None = None,
    model: str | None = None,
    api_key: str | None = None,
) -> Embedder:
    """The embedder of that name; nothing is loaded or requested yet. The other arguments are only for ``http``.

    Raises:
        EmbedderError: no such embedder, a package of an extra is missing, or ``http`` without URL or model.
    """
    if name == "wordllama":
        return WordLlamaEmbedder()
    if name == "minilm":
        return MiniLmEmbedder()
    if name == "http":
        if not url or not model:
            raise EmbedderError(
                "the embedder http needs SURGICAL_EMBEDDER_URL (such as http://localhost:11434/v1) "
                "and SURGICAL_EMBEDDER_MODEL"
            )
        from surgical_pipeline.embedders.http import HttpEmbedder  # noqa: PLC0415  httpx takes 0.2 s to import

        return HttpEmbedder(url, model, api_key=api_key)
    raise EmbedderError(f"there is no embedder {name!r}; SURGICAL_EMBEDDER is one of {', '.join(EMBEDDER_NAMES)}")


class EmbedderSettings(BaseModel):
    """Which embedder; the others are only for ``http``."""

    model_config = ConfigDict(frozen=True)

    name: str = DEFAULT_EMBEDDER
    url: str | None = None
    model: str | None = None
    api_key: SecretStr | None = None

    def create(self) -> Embedder:
        """That embedder; nothing is loaded or requested yet.

        Raises:
            EmbedderError: a package of an extra is missing.
        """
        key = self.api_key.get_secret_value() if self.api_key else None
        return create_embedder(self.name, url=self.url, model=self.model, api_key=key)
