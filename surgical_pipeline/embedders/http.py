"""Any server that speaks OpenAI's ``/v1/embeddings``: Ollama, vLLM, text-embeddings-inference, OpenAI itself."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from surgical_pipeline.embedders.openai_answers import excerpt, read_json, seconds_to_wait, vectors_in
from surgical_pipeline.embedders.protocol import BLANK_TEXT, EmbedderError, checked, prepared

if TYPE_CHECKING:
    from surgical_pipeline.embedders.protocol import Vectors

_BYTES_PER_TOKEN = 3
"""A cautious estimate: English takes four bytes per token, code three, Chinese three."""

_RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_REJECTING_STATUSES = frozenset({400, 413, 422})
_LARGEST_ANSWER = 64 * 2**20
_ADVICE = {
    401: "check SURGICAL_EMBEDDER_API_KEY",
    403: "check SURGICAL_EMBEDDER_API_KEY",
    404: "check SURGICAL_EMBEDDER_URL and SURGICAL_EMBEDDER_MODEL",
}


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Times in seconds. ``request_timeout`` is for one attempt, including the answer's body.

    ``call_timeout``: after it ``embed`` sends no more requests and gives up, at most a ``request_timeout`` later.
    A thread cannot be stopped from outside, so this is what bounds a run whose embedding server hangs.
    ``longest_wait``: if a server asks to wait longer than this (``Retry-After``), the call fails at once.
    ``max_tokens``: common small models take 512; a third is left for errors of the token estimate.
    """

    call_timeout: float = 120.0
    request_timeout: float = 60.0
    connect_timeout: float = 5.0
    attempts: int = 4
    first_wait: float = 0.5
    longest_wait: float = 30.0
    batch_size: int = 32
    max_tokens: int = 340


class HttpEmbedder:
    """An embedding server. The key is sent in a header only and appears in no message.

    ``dimension`` comes from the first answer (reading it earlier sends one short text) unless it is given; then an
    answer of another dimension is an error. Redirects are not followed. Certificates are verified; another
    bundle of authorities is taken from ``SSL_CERT_FILE``.

    Raises:
        EmbedderError: a URL that is not http(s) or carries a password, or a key that no header can carry.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        dimension: int | None = None,
        limits: HttpLimits | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = _endpoint(url)
        self._where = f"the embedder at {self._url.copy_with(query=None)}"
        self._model = model
        self._api_key = _checked_key(api_key)
        self._dimension = dimension
        self._limits = limits or HttpLimits()
        self._sleep = sleep
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """``http:`` and the model's name: the same model on another server gives the same vectors."""
        return f"http:{self._model}"

    @property
    def dimension(self) -> int:
        """Length of each vector; may send a request to the server.

        Raises:
            EmbedderError: a request was needed and the server did not answer.
        """
        if self._dimension is None:
            self.embed([BLANK_TEXT])
        if self._dimension is None:  # embed has just set it
            raise EmbedderError(f"{self._where} did not say its dimension")
        return self._dimension

    @property
    def max_tokens(self) -> int:
        return self._limits.max_tokens

    def count_tokens(self, text: str) -> int:
        """An estimate from the length in UTF-8, because the server's tokenizer is not known here."""
        return -(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN)

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """One unit vector for each text, asked for in batches over one connection. See ``Embedder``."""
        import numpy as np  # noqa: PLC0415  numpy takes 0.1 s to import

        ready = prepared(texts)
        if not ready:
            return checked([], ready, self.dimension)
        size = self._limits.batch_size
        deadline = time.monotonic() + self._limits.call_timeout
        with self._client() as client:
            parts = [
                self._embed_batch(client, ready[at : at + size], deadline=deadline)
                for at in range(0, len(ready), size)
            ]
        return np.concatenate(parts)

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        return httpx.Client(headers=headers, follow_redirects=False)

    def _embed_batch(self, client: httpx.Client, texts: Sequence[str], *, deadline: float) -> "Vectors":
        rows = vectors_in(self._ask(client, texts, deadline=deadline), len(texts))
        with self._lock:
            expected = self._dimension
            vectors = checked(rows, texts, expected if expected is not None else _width(rows))
            self._dimension = vectors.shape[1]
        return vectors

    def _ask(self, client: httpx.Client, texts: Sequence[str], *, deadline: float) -> Any:
        """The decoded answer, after as many attempts as the limits allow."""
        attempt = 1
        while True:
            try:
                return self._attempt(client, texts, deadline=deadline)
            except _TryAgainError as problem:
                wait = problem.wait
                if wait is None:
                    wait = self._limits.first_wait * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)
                longest = min(self._limits.longest_wait, deadline - time.monotonic())
                if attempt >= self._limits.attempts or wait > longest:
                    times = "once" if attempt == 1 else f"{attempt} times"
                    raise EmbedderError(f"{self._where} {problem} (asked {times})") from problem
            self._sleep(wait)
            attempt += 1

    def _attempt(self, client: httpx.Client, texts: Sequence[str], *, deadline: float) -> Any:
        seconds = max(0.001, min(self._limits.request_timeout, deadline - time.monotonic()))
        timeout = httpx.Timeout(seconds, connect=min(seconds, self._limits.connect_timeout))
        body = {"model": self._model, "input": list(texts)}
        try:
            with client.stream("POST", self._url, json=body, timeout=timeout) as response:
                answer = self._read(response, until=time.monotonic() + seconds)
        except httpx.TimeoutException as error:
            raise _TryAgainError(f"did not answer within {seconds:.3g} s") from error
        except httpx.TransportError as error:
            raise _TryAgainError(f"cannot be reached: {self._without_key(str(error))}") from error
        except httpx.DecodingError as error:
            raise EmbedderError(f"{self._where} sent a body that cannot be decompressed") from error
        return self._judged(response, answer)

    def _judged(self, response: httpx.Response, answer: bytes) -> Any:
        """The decoded body of a success; raises for anything else an error that says what to do."""
        status = response.status_code
        if status == httpx.codes.OK:
            return read_json(answer, self._where)
        said = f"answered {status}: {self._without_key(excerpt(answer))}"
        if status in _RETRIED_STATUSES:
            raise _TryAgainError(said, wait=seconds_to_wait(response.headers.get("retry-after")))
        advice = f"; {_ADVICE[status]}" if status in _ADVICE else ""
        raise EmbedderError(f"{self._where} {said}{advice}", rejected=status in _REJECTING_STATUSES)

    def _read(self, response: httpx.Response, *, until: float) -> bytes:
        """The body, unless it takes too long or too much: httpx limits only the pause between two bytes."""
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > _LARGEST_ANSWER:
                raise EmbedderError(f"{self._where} sent more than {_LARGEST_ANSWER // 2**20} MiB")
            if time.monotonic() > until:
                raise httpx.ReadTimeout("the body trickles")
        return bytes(body)

    def _without_key(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


class _TryAgainError(Exception):
    """An attempt failed transiently. ``wait``: seconds the server asked for."""

    def __init__(self, message: str, *, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(message)


def _endpoint(url: str) -> httpx.URL:
    """``http://host``, ``http://host/v1`` and ``http://host/v1/embeddings`` all mean the last."""
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise EmbedderError("SURGICAL_EMBEDDER_URL is not a URL such as http://localhost:11434/v1") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise EmbedderError("SURGICAL_EMBEDDER_URL begins with http:// or https:// and a host")
    if parsed.userinfo:
        raise EmbedderError("SURGICAL_EMBEDDER_URL must carry no password: use SURGICAL_EMBEDDER_API_KEY")
    path = parsed.path.rstrip("/")
    if not path.endswith("/embeddings"):
        path += "/embeddings" if path.endswith("/v1") else "/v1/embeddings"
    return parsed.copy_with(path=path, fragment=None)


def _checked_key(api_key: str | None) -> str | None:
    key = (api_key or "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise EmbedderError("SURGICAL_EMBEDDER_API_KEY holds characters that no header can carry")
    return key or None


def _width(rows: Sequence[Any]) -> int:
    return len(rows[0]) if isinstance(rows[0], list) else 0
