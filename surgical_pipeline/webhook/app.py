"""The receiver as an ASGI app: verify, read, make durable, answer."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from surgical_pipeline.events.event import GitLabEvent, Ignored
from surgical_pipeline.events.hooks import Refused, read_hook
from surgical_pipeline.ledger.clock import Clock, utc_now
from surgical_pipeline.metrics.app import PATH as METRICS_PATH
from surgical_pipeline.metrics.app import MetricsPage
from surgical_pipeline.metrics.catalog import Sample
from surgical_pipeline.webhook.drain import DrainState
from surgical_pipeline.webhook.metrics import receiver_samples
from surgical_pipeline.webhook.signatures import Unverified, Verified, Verifier
from surgical_pipeline.webhook.spool import Spool
from surgical_pipeline.webhook.spool_file import SpoolError

_LOG = logging.getLogger(__name__)
PATH = "/webhooks/gitlab"
BODY_BYTES = 25_000_000
"""GitLab's own limit for the body of a hook."""
SPOOL_SECONDS = 6.0
"""GitLab waits ten seconds for its answer."""
_LARGE_BYTES = 1_000_000
_LARGE_AT_ONCE = 8
_CLOSE = {"connection": "close"}
"""GitLab opens a connection for each delivery; without a second request no client can queue them up."""


def create_app(
    spool: Spool,
    verifier: Verifier,
    *,
    drain_state: Callable[[], DrainState] = DrainState,
    clock: Clock = utc_now,
    metrics: MetricsPage | None = None,
) -> Starlette:
    """The app over a spool that is open.

    ``drain_state`` gives what `/readyz` says of the ledger; ``metrics``, `/metrics` itself; None: there is none.
    """
    receiver = _Receiver(spool, verifier, drain_state=drain_state, clock=clock)
    routes = [
        Route(PATH, receiver.receive, methods=["POST"]),
        Route("/healthz", receiver.alive),
        Route("/readyz", receiver.ready),
    ]
    if metrics is not None:
        routes.append(Route(METRICS_PATH, metrics.with_own(receiver.samples).answer))
    app = Starlette(
        routes=routes,
        exception_handlers={404: _answer_elsewhere, 405: _answer_elsewhere},
    )
    app.router.redirect_slashes = False
    return app


class _Receiver:
    def __init__(
        self, spool: Spool, verifier: Verifier, *, drain_state: Callable[[], DrainState], clock: Clock
    ) -> None:
        self._spool = spool
        self._verifier = verifier
        self._drain_state = drain_state
        self._clock = clock
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def receive(self, request: Request) -> Response:
        headers = dict(request.headers)
        refused = self._verifier.check_headers(headers)
        try:
            body = await self._body(request, keep=refused is None)
        except ClientDisconnect:
            return _answer(HTTPStatus.BAD_REQUEST, "the body broke off")
        if refused is not None:
            return self._unverified(refused, request)
        if body is None:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body has more than 25 MB", request)
        verdict = self._verifier.check(headers, body)
        if isinstance(verdict, Unverified):
            return self._unverified(verdict, request)
        return await self._understood(headers, body, verdict, request)

    async def alive(self, _request: Request) -> Response:
        return _answer(HTTPStatus.OK, "ok")

    async def ready(self, _request: Request) -> Response:
        """Ready is who can make events durable; whether the ledger can be had is told, and changes nothing."""
        ledger = {"trouble": None, **_times(asdict(self._drain_state()))}
        try:
            async with asyncio.timeout(SPOOL_SECONDS):
                await asyncio.wrap_future(self._spool.probe())
                waiting, counters = await asyncio.wrap_future(self._spool.state())
        except (SpoolError, TimeoutError) as error:
            _LOG.warning("not ready: %s", _why(error))
            return JSONResponse({"ready": False, "ledger": ledger}, HTTPStatus.SERVICE_UNAVAILABLE, _CLOSE)
        known = {"ready": True, "waiting": waiting, "counters": _times(asdict(counters)), "ledger": ledger}
        return JSONResponse(known, headers=_CLOSE)

    async def samples(self) -> list[Sample]:
        return await receiver_samples(self._spool, self._drain_state, now=self._clock())

    async def _body(self, request: Request, *, keep: bool) -> bytes | None:
        """The body; None if it is too large. What is not kept is read all the same, or the answer would be lost.

        Only a few large bodies are held at once; small ones pass beside them.
        """
        kept, received, holding = bytearray(), 0, False
        try:
            async for chunk in request.stream():
                received += len(chunk)
                if received > 2 * BODY_BYTES:
                    break
                if received > BODY_BYTES or not keep:
                    kept = bytearray()
                    continue
                if received > _LARGE_BYTES and not holding:
                    await self._large.acquire()
                    holding = True
                kept += chunk
            return None if received > BODY_BYTES else bytes(kept)
        finally:
            if holding:
                self._large.release()

    def _unverified(self, refused: Unverified, request: Request) -> Response:
        self._spool.count("refused_age" if refused.only_age else "refused_secret")
        return _refusal(HTTPStatus.UNAUTHORIZED, refused.reason, request)

    async def _understood(
        self, headers: Mapping[str, str], body: bytes, verdict: Verified, request: Request
    ) -> Response:
        found = read_hook(
            headers,
            body,
            received_at=self._clock(),
            sent_at=verdict.sent_at,
            new_key=lambda: f"random-{secrets.token_hex(16)}",
        )
        if isinstance(found, Refused):
            return _refusal(HTTPStatus.BAD_REQUEST, found.reason, request)
        if isinstance(found, Ignored):
            self._spool.count("ignored")
            _LOG.info("ignored: %s", found.reason)
            return _answer(HTTPStatus.OK, f"ignored: {found.reason}")
        return await self._stored(found)

    async def _stored(self, event: GitLabEvent) -> Response:
        """2xx only once it is durable."""
        what = f"{event.kind} hook of project {event.project_id}, {event.entity}"
        try:
            async with asyncio.timeout(SPOOL_SECONDS):
                new = await asyncio.wrap_future(self._spool.put(event))
        except (SpoolError, TimeoutError) as error:
            _LOG.error("%s could not be stored: %s", what, _why(error))
            return _answer(HTTPStatus.SERVICE_UNAVAILABLE, "the event could not be stored")
        _LOG.info("%s: %s", "accepted" if new else "accepted again", what)
        return _answer(HTTPStatus.OK, f"accepted: {what}")


def _why(error: Exception) -> str:
    return (
        f"the spool did not answer within {SPOOL_SECONDS:.0f} s" if isinstance(error, TimeoutError) else str(error)
    )


def _times(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


def _refusal(status: HTTPStatus, reason: str, request: Request) -> Response:
    client = request.client.host if request.client else "unknown"
    _LOG.warning("refused a delivery from %s (%s): %s", client, status.value, reason)
    return _answer(status, f"refused: {reason}")


async def _answer_elsewhere(_request: Request, error: Exception) -> Response:
    status = HTTPStatus(getattr(error, "status_code", HTTPStatus.NOT_FOUND))
    return _answer(status, f"hooks are taken by POST {PATH}")


def _answer(status: HTTPStatus, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status, _CLOSE)
