"""One GET request to GitLab, from waiting for a place to decoded JSON, repeated as the retry policy allows."""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread
import httpx

from surgical_pipeline.domain.budgets import Deadline
from surgical_pipeline.domain.outcomes import HttpStats
from surgical_pipeline.gitlab.answers import Answer, decoded_json, error_for, rate_limit_window
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.connections import Connections
from surgical_pipeline.gitlab.errors import (
    BudgetExceededError,
    CrossOriginError,
    GitLabError,
    InvalidPayloadError,
    NetworkError,
    RateLimitedError,
)
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import RetryPolicy, with_retries
from surgical_pipeline.gitlab.urls import ApiUrls, path_of, resolve

MAX_REDIRECTS = 3
_MAX_ERROR_BODY_BYTES = 64 * 1024
_WORKED_THROUGH_AT_ONCE_BYTES = 64 * 1024

_T = TypeVar("_T")


class Transport:
    """An async context manager around one connection pool; it belongs to the event loop that entered it.

    ``request_timeout_seconds`` bounds one attempt from connecting to the last byte. ``ca_bundle``: a PEM file of
    the only authorities to trust, instead of the usual ones; unreadable, it is a ``ValueError`` on entering.
    """

    def __init__(
        self,
        urls: ApiUrls,
        token: str,
        *,
        limiter: RateLimiter,
        retry: RetryPolicy,
        request_timeout_seconds: float,
        max_answer_bytes: int,
        ca_bundle: Path | None,
        clock: GitLabClock,
    ) -> None:
        self._urls = urls
        self._token = token
        self._limiter = limiter
        self._retry = retry
        self._request_timeout_seconds = request_timeout_seconds
        self._max_answer_bytes = max_answer_bytes
        self._ca_bundle = ca_bundle
        self._clock = clock
        self._connections: Connections | None = None
        self.stats = HttpStats()

    def __repr__(self) -> str:
        return f"Transport({self._urls.base_url!r})"

    async def __aenter__(self) -> Self:
        for name in ("hpack", "httpcore"):  # at DEBUG they write out headers, sent and echoed
            logging.getLogger(name).setLevel(logging.WARNING)
        trust = _trusting(self._ca_bundle) if self._ca_bundle else _usual_trust()

        def connect() -> httpx.AsyncClient:
            return httpx.AsyncClient(
                headers={"PRIVATE-TOKEN": self._token, "Accept": "application/json"},
                http2=self._urls.base_url.startswith("https:"),
                verify=trust,
                timeout=None,  # noqa: S113  anyio bounds each attempt as a whole
                follow_redirects=False,
            )

        self._connections = Connections(connect)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connections is not None:
            await self._connections.aclose()
            self._connections = None

    async def get(self, url: httpx.URL, deadline: Deadline, *, follow_redirects: bool = False) -> Answer:
        """The JSON at an API address.

        Raises:
            GitLabError: what stood in the way, after the retries that the policy and the deadline allow.
        """
        for _ in range(MAX_REDIRECTS + 1):
            result = await self._get_with_retries(url, deadline)
            if isinstance(result, Answer):
                return result
            url = self._redirected(url, result, allowed=follow_redirects)
        raise InvalidPayloadError(f"GitLab redirects more than {MAX_REDIRECTS} times", path=path_of(url))

    async def _get_with_retries(self, url: httpx.URL, deadline: Deadline) -> "Answer | _Redirect":
        async def attempt() -> Answer | _Redirect:
            return await self._attempt(url, deadline)

        return await with_retries(attempt, self._retry, deadline=deadline, on_retry=self._count_retry)

    async def _attempt(self, url: httpx.URL, deadline: Deadline) -> "Answer | _Redirect":
        received = await self._receive(url, deadline)
        if isinstance(received, _Redirect):
            return received
        # Its place in flight is free again: the next request is under way while this answer is decoded.
        return await work_through(len(received.body), received.decoded)

    async def _receive(self, url: httpx.URL, deadline: Deadline) -> "_Received | _Redirect":
        path = path_of(url)
        async with self._limiter.place(deadline, path):
            left = deadline.remaining
            if left <= 0:
                raise BudgetExceededError("the time budget ran out before the request was sent", path=path)
            seconds = min(self._request_timeout_seconds, left)
            with anyio.move_on_after(seconds) as scope:
                return await self._exchange(url)
        if not scope.cancelled_caught:  # pragma: no cover  the block above returns or raises otherwise
            raise AssertionError("an exchange neither answered nor failed")
        if left <= self._request_timeout_seconds:
            raise BudgetExceededError("the time budget ran out while GitLab was answering", path=path)
        raise NetworkError(f"GitLab did not answer within {seconds:g} s", path=path, transient=True)

    async def _exchange(self, url: httpx.URL) -> "_Received | _Redirect":
        """Send the request and read the answer, at most as much of it as is allowed."""
        if self._connections is None:
            raise RuntimeError("the GitLab client is used outside `async with`")
        self.stats += HttpStats(requests=1)
        sent = self._clock.reading()
        try:
            async with self._connections.get(url) as response:
                self._heed_limits(response)
                if response.status_code != httpx.codes.OK:
                    body = await self._read(response, _MAX_ERROR_BODY_BYTES, refuse=False)
                    location = response.headers.get("location") if response.is_redirect else None
                    if location is not None:
                        return _Redirect(location, self._error(response, body, url))
                    raise self._error(response, body, url)
                self._clock.heed(response.headers, sent=sent)
                body = await self._read(response, self._max_answer_bytes, refuse=True)
                return _Received(url, response.headers, body, self._clock.at(sent))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Only the error's kind and text: httpx keeps the request, and with it the token, on the object.
            told = self._without_token(str(error)) or type(error).__name__
            # The chain is written out as it is, into Dagster's log too: a server may echo the request's headers.
            cause = None if self._token in str(error) else error
            raise NetworkError(f"no answer from GitLab: {told}", path=path_of(url), transient=True) from cause

    async def _read(self, response: httpx.Response, limit: int, *, refuse: bool) -> bytes:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                if refuse:
                    raise InvalidPayloadError(
                        f"GitLab's answer is larger than {limit} bytes", path=path_of(response.url), status=200
                    )
                break
        return bytes(body)

    def _error(self, response: httpx.Response, body: bytes, url: httpx.URL) -> GitLabError:
        body = body.replace(self._token.encode(), b"[token]")  # a proxy's error may repeat the request
        error = error_for(response, body, path=path_of(url), now=self._clock.now())
        if isinstance(error, RateLimitedError):
            self.stats += HttpStats(rate_limited=1)
            self._limiter.pause(error.retry_after_seconds or self._retry.delay(1))
        return error

    def _heed_limits(self, response: httpx.Response) -> None:
        window = rate_limit_window(response.headers, self._clock.now())
        if window is not None and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
            self._limiter.observe(window.remaining, window.reset_in_seconds)

    def _redirected(self, url: httpx.URL, redirect: "_Redirect", *, allowed: bool) -> httpx.URL:
        target = resolve(url, redirect.location)
        if target is None or not self._urls.same_origin(target):
            where = f" to {target.scheme}://{target.host}" if target is not None else ""
            raise CrossOriginError(
                f"GitLab redirects{where}, another origin; if that is where it lives, use it as the GitLab URL",
                path=path_of(url),
            )
        if not allowed or not self._urls.in_api(target):
            raise redirect.error
        return target

    def _count_retry(self) -> None:
        self.stats += HttpStats(retries=1)

    def _without_token(self, text: str) -> str:
        return text.replace(self._token, "[token]")


async def work_through(size: int, work: Callable[[], _T]) -> _T:
    """What ``work`` on ``size`` bytes gives; done in a thread where they are many, so that meanwhile others go on.

    Handing a small answer to a thread takes longer than decoding it.
    """
    return work() if size <= _WORKED_THROUGH_AT_ONCE_BYTES else await anyio.to_thread.run_sync(work)


@cache
def _usual_trust() -> ssl.SSLContext:
    """The usual authorities, loaded once: that takes longer than a small request."""
    return httpx.create_ssl_context()


def _trusting(ca_bundle: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_bundle))
    except OSError as error:
        raise ValueError(f"the CA bundle {ca_bundle} cannot be read as PEM certificates") from error


@dataclass(frozen=True, slots=True)
class _Received:
    """A 200 with all its bytes."""

    url: httpx.URL
    headers: httpx.Headers
    body: bytes
    sent_at: datetime

    def decoded(self) -> Answer:
        body = decoded_json(self.body, self.headers, path_of(self.url))
        return Answer(self.url, self.headers, body, self.sent_at, len(self.body))


class _Redirect:
    def __init__(self, location: str, error: GitLabError) -> None:
        self.location = location
        self.error = error
