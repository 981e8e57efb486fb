"""One GET request to GitLab, from waiting for a place to decoded JSON, repeated as the retry policy allows."""

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
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
from surgical_pipeline.gitlab.answers import Answer, decoded_json, error_for, rate_limit, rate_limit_window
from surgical_pipeline.gitlab.bodies import ACCEPTED_ENCODING, read_body
from surgical_pipeline.gitlab.clock import GitLabClock
from surgical_pipeline.gitlab.connections import Client, Connections
from surgical_pipeline.gitlab.errors import (
    AnswerBrokeOffError,
    BudgetExceededError,
    CrossOriginError,
    GitLabError,
    InvalidPayloadError,
    NetworkError,
    RateLimitedError,
)
from surgical_pipeline.gitlab.foreign import ForeignText
from surgical_pipeline.gitlab.pacing import Priority
from surgical_pipeline.gitlab.rate_limit import RateLimiter
from surgical_pipeline.gitlab.retry import AS_USUAL, Patience, RetryPolicy, with_retries
from surgical_pipeline.gitlab.urls import ApiUrls, path_of, resolve

MAX_REDIRECTS = 3
_MAX_ERROR_BODY_BYTES = 64 * 1024
_WORKED_THROUGH_AT_ONCE_BYTES = 256 * 1024

_T = TypeVar("_T")


class Transport:
    """An async context manager around one connection pool; it belongs to the event loop that entered it.

    ``request_timeout_seconds`` bounds one attempt from connecting to the last byte. ``ca_bundle``: a PEM file of
    the only authorities to trust, instead of the usual ones; unreadable, it is a ``ValueError`` on entering.
    ``network``: what takes requests to GitLab; None: HTTP.
    """

    def __init__(  # noqa: PLR0913  what one request depends on
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
        priority: Priority = Priority.PEOPLE,
        network: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._urls = urls
        self._token = token
        self._foreign = ForeignText(token)
        self._limiter = limiter
        self._retry = retry
        self._request_timeout_seconds = request_timeout_seconds
        self._max_answer_bytes = max_answer_bytes
        self._ca_bundle = ca_bundle
        self._clock = clock
        self._priority = priority
        self._network = network
        self._connections: Connections | None = None
        self.stats = HttpStats()
        self.per_minute: int | None = None

    def __repr__(self) -> str:
        return f"Transport({self._urls.base_url!r})"

    async def __aenter__(self) -> Self:
        # They log headers, sent and echoed; httpx logs every address and the status text.
        for name in ("hpack", "httpcore", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)
        encrypted = self._urls.base_url.startswith("https:")
        trust = (
            _trusting(self._ca_bundle) if self._ca_bundle else _usual_trust() if encrypted else _trusting_nobody()
        )

        def connect() -> httpx.AsyncClient:
            return Client(
                headers={
                    "PRIVATE-TOKEN": self._token,
                    "Accept": "application/json",
                    "Accept-Encoding": ACCEPTED_ENCODING,
                },
                http2=encrypted,
                verify=trust,
                timeout=None,  # anyio bounds each attempt as a whole
                follow_redirects=False,
                transport=self._network,
            )

        self._connections = Connections(connect)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connections is not None:
            await self._connections.aclose()
            self._connections = None

    async def get(
        self,
        url: httpx.URL,
        deadline: Deadline,
        *,
        follow_redirects: bool = False,
        patience: Patience = AS_USUAL,
    ) -> Answer:
        """The JSON at an API address.

        Raises:
            GitLabError: what failed, after the retries that the policy and the deadline allow.
        """
        for _ in range(MAX_REDIRECTS + 1):
            self._check_address(url)
            result = await self._get_with_retries(url, deadline, patience)
            if isinstance(result, Answer):
                return result
            url = self._redirected(url, result, allowed=follow_redirects)
        raise InvalidPayloadError(f"GitLab redirects more than {MAX_REDIRECTS} times", path=path_of(url))

    async def _get_with_retries(
        self, url: httpx.URL, deadline: Deadline, patience: Patience
    ) -> "Answer | _Redirect":
        async def attempt() -> Answer | _Redirect:
            return await self._attempt(url, deadline, patience)

        policy = replace(self._retry, max_attempts=patience.attempts) if patience.attempts else self._retry
        return await with_retries(attempt, policy, deadline=deadline, on_retry=self._count_retry)

    async def _attempt(self, url: httpx.URL, deadline: Deadline, patience: Patience) -> "Answer | _Redirect":
        received = await self._receive(url, deadline, patience)
        if isinstance(received, _Redirect):
            return received
        # Its place in flight is free again: the next request is under way while this answer is decoded.
        return await work_through(len(received.body), received.decoded)

    async def _receive(self, url: httpx.URL, deadline: Deadline, patience: Patience) -> "_Received | _Redirect":
        path = path_of(url)
        async with self._limiter.place(deadline, path, priority=self._priority):
            left = deadline.remaining
            if left <= 0:
                raise BudgetExceededError("the time budget ran out before the request was sent", path=path)
            seconds = min(self._request_timeout_seconds, patience.seconds, left)
            with anyio.move_on_after(seconds) as scope:
                return await self._exchange(url)
        if not scope.cancelled_caught:  # pragma: no cover  the block above returns or raises otherwise
            raise AssertionError("an exchange neither answered nor failed")
        if left <= seconds:
            raise BudgetExceededError("the time budget ran out while GitLab was answering", path=path)
        raise AnswerBrokeOffError(
            f"GitLab did not answer within {seconds:.3g} s", path=path, transient=patience.seconds > seconds
        )

    async def _exchange(self, url: httpx.URL) -> "_Received | _Redirect":
        """Send the request and read the answer, up to the allowed size."""
        if self._connections is None:
            raise RuntimeError("the GitLab client is used outside `async with`")
        self.stats += HttpStats(requests=1)
        sent = self._clock.reading()
        try:
            async with self._connections.get(url) as response:
                self._heed_limits(response)
                if response.status_code != httpx.codes.OK:
                    body = await _error_body(response)
                    location = response.headers.get("location") if response.is_redirect else None
                    if location is not None:
                        return _Redirect(location, self._error(response, body, url))
                    raise self._error(response, body, url)
                self._clock.heed(response.headers, sent=sent)
                body = await self._read(response)
                return _Received(url, response.headers, body, self._clock.at(sent), self._foreign)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Only the error's kind and text: httpx keeps the request, and with it the token, on the object.
            told = self._foreign.quoted(str(error)) or type(error).__name__
            # The exception chain is logged as it is, in Dagster too: a server may echo the request's headers.
            cause = None if self._foreign.holds_token(str(error).encode()) else error
            connected = isinstance(error, httpx.ReadError | httpx.RemoteProtocolError)
            kind = AnswerBrokeOffError if connected else NetworkError
            raise kind(f"no answer from GitLab: {told}", path=path_of(url), transient=True) from cause

    async def _read(self, response: httpx.Response) -> bytes:
        body = await read_body(response, self._max_answer_bytes)
        if len(body) > self._max_answer_bytes:
            raise InvalidPayloadError(
                f"GitLab's answer is larger than {self._max_answer_bytes} bytes",
                path=path_of(response.url),
                status=response.status_code,
            )
        return body

    def _error(self, response: httpx.Response, body: bytes, url: httpx.URL) -> GitLabError:
        error = error_for(response, body, path=path_of(url), now=self._clock.now(), foreign=self._foreign)
        if isinstance(error, RateLimitedError):
            self.stats += HttpStats(rate_limited=1)
            self._limiter.pause(error.retry_after_seconds or self._retry.delay(1))
        return error

    def _heed_limits(self, response: httpx.Response) -> None:
        self.per_minute = rate_limit(response.headers) or self.per_minute
        window = rate_limit_window(response.headers, self._clock.now())
        if window is not None and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
            self._limiter.observe(window.remaining, window.reset_in_seconds, limit=window.limit)

    def _redirected(self, url: httpx.URL, redirect: "_Redirect", *, allowed: bool) -> httpx.URL:
        target = resolve(url, redirect.location)
        if target is None or not self._urls.same_origin(target):
            where = f"to {target.scheme}://{target.host}" if target is not None else "elsewhere"
            raise CrossOriginError(
                f"GitLab redirects {self._foreign.quoted(where)}, another origin; "
                "if that is where it lives, use it as the GitLab URL",
                path=path_of(url),
            )
        if not allowed or not self._urls.in_api(target):
            raise redirect.error
        return target

    def _count_retry(self) -> None:
        self.stats += HttpStats(retries=1)

    def _check_address(self, url: httpx.URL) -> None:
        """The token never goes into an address, whatever its source: others write addresses into their logs."""
        if self._foreign.holds_token(str(url).encode()):
            raise InvalidPayloadError(
                "GitLab gave an address that holds the token", path=self._foreign.quoted(path_of(url))
            )


async def _error_body(response: httpx.Response) -> bytes:
    """The beginning of an unwanted answer; empty if it cannot be decompressed: the status is enough."""
    try:
        return (await read_body(response, _MAX_ERROR_BODY_BYTES))[:_MAX_ERROR_BODY_BYTES]
    except InvalidPayloadError:
        if response.status_code == httpx.codes.NOT_FOUND:  # which GitLab itself must have said
            raise
        return b""


async def work_through(size: int, work: Callable[[], _T]) -> _T:
    """The result of ``work`` on ``size`` bytes; a thread does large ones, so that other requests go on.

    A page of a hundred rows is not large: beside a thread, the loop waits for the interpreter for longer.
    """
    return work() if size <= _WORKED_THROUGH_AT_ONCE_BYTES else await anyio.to_thread.run_sync(work)


@cache
def _usual_trust() -> ssl.SSLContext:
    """The usual authorities, loaded once: loading takes longer than a small request."""
    return httpx.create_ssl_context()


def _trusting_nobody() -> ssl.SSLContext:
    """For a GitLab without TLS: no other origin is asked, so the authorities are not needed."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


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
    foreign: ForeignText

    def decoded(self) -> Answer:
        """The JSON without our token: its content is stored and shown."""
        held = self.foreign.holds_token(self.body)
        body = self.foreign.without_token(self.body) if held else self.body
        parsed = decoded_json(body, self.headers, path_of(self.url), foreign=self.foreign)
        return Answer(self.url, self.headers, parsed, self.sent_at, len(self.body))


class _Redirect:
    def __init__(self, location: str, error: GitLabError) -> None:
        self.location = location
        self.error = error
