"""Reads what servers with OpenAI's embeddings interface answer, distrusting all of it."""

import json
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from surgical_pipeline.embedders.protocol import EmbedderError

_EXCERPT = 200


def read_json(body: bytes, where: str) -> Any:
    """``body`` decoded.

    Raises:
        EmbedderError: it is not JSON; ``where`` begins the message.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EmbedderError(f"{where} answered 200 with no JSON: {excerpt(body)}") from error


def vectors_in(answer: Any, count: int) -> Sequence[Any]:
    """The ``count`` embeddings of an answer, in the order of the texts. Their content is not checked.

    Raises:
        EmbedderError: another number of embeddings, or indices that are not those of the texts.
    """
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or not all(isinstance(item, dict) and "embedding" in item for item in data):
        raise EmbedderError('the embedder\'s answer has no list "data" of embeddings: is it OpenAI-compatible?')
    if len(data) != count:
        raise EmbedderError(f"the embedder answered with {len(data)} vectors for {count} texts")
    places = [item.get("index", place) for place, item in enumerate(data)]
    if not all(isinstance(place, int) for place in places) or sorted(places) != list(range(count)):
        raise EmbedderError(f"the embedder's answer numbers its {count} vectors wrongly")
    by_place = dict(zip(places, (item["embedding"] for item in data), strict=True))
    return [by_place[place] for place in range(count)]


def excerpt(body: bytes) -> str:
    """What an error's body says, on one short line: OpenAI's ``error.message`` if there is one."""
    text = body[: 16 * _EXCERPT].decode(errors="replace")
    try:
        error = json.loads(body)["error"]
        text = str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, RecursionError, KeyError, TypeError):
        pass
    text = " ".join(text.split())
    return f"{text[:_EXCERPT]}…" if len(text) > _EXCERPT else text or "an empty body"


def seconds_to_wait(retry_after: str | None) -> float | None:
    """``Retry-After``, a number or a date, as seconds from now; None if it is missing or invalid."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
