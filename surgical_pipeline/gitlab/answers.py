"""Reading an HTTP answer: status first, then headers, then JSON; and what an unwanted answer means."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar

import httpx

from surgical_pipeline.gitlab.clock import http_date
from surgical_pipeline.gitlab.errors import (
    ForbiddenError,
    GitLabError,
    InvalidPayloadError,
    NetworkError,
    NotFoundError,
    ProjectNotFoundError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
)
from surgical_pipeline.gitlab.foreign import ForeignText
from surgical_pipeline.gitlab.urls import path_of

_T = TypeVar("_T")
_MAX_SECONDS_DIGITS = 9

_NO_TOKEN = ForeignText()

_REFUSALS: dict[int, type[GitLabError]] = {
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: NetworkError,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A 200 with JSON.

    ``sent_at``: when its request was sent, by GitLab's clock. ``size``: its bytes.
    """

    url: httpx.URL
    headers: httpx.Headers
    body: object
    sent_at: datetime
    size: int = 0

    @property
    def path(self) -> str:
        return path_of(self.url)

    def item(self) -> dict[str, object]:
        """The body as one object.

        Raises:
            InvalidPayloadError: it is something else.
        """
        if not isinstance(self.body, dict):
            raise InvalidPayloadError(
                f"GitLab gave {_json_kind(self.body)} where an object was expected", path=self.path
            )
        return self.body

    def items(self) -> tuple[dict[str, object], ...]:
        """The body as a list of objects.

        Raises:
            InvalidPayloadError: it is something else.
        """
        if not isinstance(self.body, list):
            raise InvalidPayloadError(
                f"GitLab gave {_json_kind(self.body)} where a list was expected", path=self.path
            )
        for item in self.body:
            if not isinstance(item, dict):
                raise InvalidPayloadError(
                    f"GitLab gave a list with {_json_kind(item)} where objects were expected", path=self.path
                )
        return tuple(self.body)

    def parsed(self, parse: Callable[[object], _T]) -> _T:
        """What ``parse`` makes of the body.

        Raises:
            InvalidPayloadError: as ``parse`` does, with the requested path.
        """
        try:
            return parse(self.body)
        except InvalidPayloadError as error:
            raise InvalidPayloadError(error.reason, path=self.path) from error


@dataclass(frozen=True, slots=True)
class RateLimitWindow:
    """``limit``: requests in the whole window; 0: not told."""

    remaining: int
    reset_in_seconds: float
    limit: int = 0


def decoded_json(body: bytes, headers: httpx.Headers, path: str, *, foreign: ForeignText = _NO_TOKEN) -> object:
    """The JSON of a 200.

    Raises:
        InvalidPayloadError: not JSON, or broken off; transient, since a proxy's error page or a cut connection
            may not come again.
    """
    content_type = headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if not (content_type == "application/json" or content_type.endswith("+json")):
        raise InvalidPayloadError(
            _not_json(content_type, body, foreign=foreign), path=path, status=200, transient=True
        )
    try:
        parsed: object = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidPayloadError(
            f"GitLab's answer of {len(body)} bytes is not whole, valid JSON", path=path, status=200, transient=True
        ) from error
    return parsed


def error_for(
    response: httpx.Response, body: bytes, *, path: str, now: datetime, foreign: ForeignText = _NO_TOKEN
) -> GitLabError:
    """The error that a status other than 200 means. ``body``: the beginning of the answer's body."""
    status = response.status_code
    detail = foreign.quoted(_detail(response.headers, body))
    said = f"GitLab answered {status}{_phrase(status)}{f': {detail}' if detail else ''}"
    if status == HTTPStatus.NOT_FOUND:
        return _not_found(said, path, is_json=_is_json(response.headers), detail=detail)
    if status == HTTPStatus.TOO_MANY_REQUESTS or _is_server_error(status):
        return (RateLimitedError if status == HTTPStatus.TOO_MANY_REQUESTS else ServerError)(
            said,
            path=path,
            status=status,
            transient=True,
            retry_after_seconds=retry_after_seconds(response.headers, now),
        )
    if response.is_redirect:
        said = f"GitLab redirects instead of answering ({status}): a login page or a proxy may stand before it"
    return _REFUSALS.get(status, InvalidPayloadError)(said, path=path, status=status)


def _not_found(said: str, path: str, *, is_json: bool, detail: str) -> GitLabError:
    """Only GitLab's own 404, which is JSON, says that something does not exist; a proxy's 404 does not."""
    if not is_json:
        return InvalidPayloadError(f"{said}, but not as JSON, so not by its API", path=path, status=404)
    missing = ProjectNotFoundError if "project not found" in detail.lower() else NotFoundError
    return missing(said, path=path, status=404)


def _is_server_error(status: int) -> bool:
    return status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def retry_after_seconds(headers: httpx.Headers, now: datetime) -> float | None:
    """How long GitLab asks to wait, from ``Retry-After`` (seconds or an HTTP date), else ``RateLimit-Reset``."""
    text = headers.get("retry-after", "").strip()
    seconds = _seconds(text)
    if seconds is not None:
        return seconds
    moment = http_date(text)
    if moment is not None:
        return max(0.0, (moment - _server_now(headers, now)).total_seconds())
    window = rate_limit_window(headers, now)
    return window.reset_in_seconds if window is not None and window.remaining == 0 else None


def rate_limit_window(headers: httpx.Headers, now: datetime) -> RateLimitWindow | None:
    """``RateLimit-Remaining``, ``-Reset`` (seconds since 1970) and ``-Limit``, if the first two are present.

    The server's own ``Date`` is the reference, so that clocks that differ do no harm.
    """
    remaining = _seconds(headers.get("ratelimit-remaining", ""))
    reset = _seconds(headers.get("ratelimit-reset", ""))
    if remaining is None or reset is None:
        return None
    seconds = max(0.0, reset - _server_now(headers, now).timestamp())
    return RateLimitWindow(int(remaining), seconds, rate_limit(headers) or 0)


def rate_limit(headers: httpx.Headers) -> int | None:
    """Requests that GitLab allows in a minute, by ``RateLimit-Limit``; None: it does not say."""
    limit = _seconds(headers.get("ratelimit-limit", ""))
    return int(limit) if limit else None


def _seconds(text: str) -> float | None:
    text = text.strip()
    if not (text.isascii() and text.isdecimal()):
        return None
    return float(text) if len(text.lstrip("0")) <= _MAX_SECONDS_DIGITS + 1 else float(10**_MAX_SECONDS_DIGITS)


def _server_now(headers: httpx.Headers, now: datetime) -> datetime:
    return http_date(headers.get("date", "")) or now


def _is_json(headers: httpx.Headers) -> bool:
    return "json" in headers.get("content-type", "")


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _detail(headers: httpx.Headers, body: bytes) -> str:
    """GitLab's own words for an error: ``message``, ``error_description`` or ``error``."""
    if not _is_json(headers):
        return ""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(parsed, dict):
        return ""
    for name in ("message", "error_description", "error"):
        if isinstance(text := parsed.get(name), str):
            return text
    return ""


def _not_json(content_type: str, body: bytes, *, foreign: ForeignText) -> str:
    if "html" in content_type:
        start = body[:100_000].lower()
        if b"sign_in" in start or b"password" in start or b"login" in start:
            return "GitLab's answer is an HTML login page, not JSON"
        return "GitLab's answer is an HTML page, not JSON: a login page or a proxy may be answering"
    return f"GitLab's answer is {foreign.quoted(content_type, 60) or 'of no known type'}, not JSON"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _json_kind(value: object) -> str:
    if value is None:
        return "null"
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return kinds.get(type(value), "a number")
