"""Metrics over HTTP: the page for scrapers, and the small app around it where there is no receiver."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from surgical_pipeline.metrics.access import refusal
from surgical_pipeline.metrics.catalog import Sample
from surgical_pipeline.metrics.collecting import LedgerMetrics
from surgical_pipeline.metrics.exposition import rendered

_LOG = logging.getLogger(__name__)
PATH = "/metrics"
_CLOSE = {"connection": "close"}
"""As all answers here: the server takes one request for each connection."""


class MetricsPage:
    """Answers a scrape: what the ledger says, and what the process around it adds.

    Args:
        ledger: the ledger's samples.
        token: who reads has to show it; None: only this machine may read.
        own: further samples of this process.
    """

    def __init__(
        self,
        ledger: LedgerMetrics,
        *,
        token: SecretStr | None,
        own: Callable[[], Awaitable[list[Sample]]] | None = None,
    ) -> None:
        self._ledger = ledger
        self._token = token
        self._own = own

    def with_own(self, own: Callable[[], Awaitable[list[Sample]]]) -> "MetricsPage":
        return MetricsPage(self._ledger, token=self._token, own=own)

    async def answer(self, request: Request) -> Response:
        client = request.client.host if request.client else None
        refused = refusal(dict(request.headers), client, token=self._token)
        if refused is not None:
            status, reason = refused
            _LOG.warning("refused metrics to %s: %s", client, reason)
            challenge = {"www-authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
            return PlainTextResponse(f"refused: {reason}\n", status, _CLOSE | challenge)
        own = await self._own() if self._own is not None else []
        page, content_type = rendered(
            [*await self._ledger.samples(), *own], accept=request.headers.get("accept", "")
        )
        return Response(page, headers=_CLOSE | {"content-type": content_type})


def create_metrics_app(page: MetricsPage, *, probe: LedgerMetrics) -> Starlette:
    """The app of `metrics serve`. ``probe``: asked whether the ledger can be read at all."""

    async def alive(_request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_CLOSE)

    async def ready(_request: Request) -> Response:
        trouble = await probe.trouble()
        status = HTTPStatus.OK if trouble is None else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"ready": trouble is None, "ledger": {"trouble": trouble}}, status, _CLOSE)

    async def elsewhere(_request: Request, error: Exception) -> Response:
        status = HTTPStatus(getattr(error, "status_code", HTTPStatus.NOT_FOUND))
        return PlainTextResponse(f"metrics are at {PATH}\n", status, _CLOSE)

    return Starlette(
        routes=[Route(PATH, page.answer), Route("/healthz", alive), Route("/readyz", ready)],
        exception_handlers={404: elsewhere, 405: elsewhere},
    )
