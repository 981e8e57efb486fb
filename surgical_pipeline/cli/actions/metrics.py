"""Metrics as a process of its own; and the page of them that a receiver of hooks serves, too."""

import logging
from functools import partial

from surgical_pipeline.cli.terminal import print_json, tell
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.embedders.protocol import EmbedderError
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.metrics.access import is_loopback, token_of
from surgical_pipeline.metrics.app import PATH, MetricsPage, create_metrics_app
from surgical_pipeline.metrics.collecting import LEDGER_SECONDS, LedgerMetrics
from surgical_pipeline.metrics.reading import parts
from surgical_pipeline.settings import Settings, SettingsError
from surgical_pipeline.webhook.server import HookServer, listen

_LOG = logging.getLogger(__name__)


def metrics_page(settings: Settings) -> MetricsPage:
    """The page, over the ledger that the settings name.

    Raises:
        SettingsError: the token is malformed.
    """
    opened = partial(open_ledger, settings, wait_at_most_seconds=LEDGER_SECONDS)
    found = parts(_watches(settings), _model(settings))
    return MetricsPage(LedgerMetrics(opened, found), token=token_of(settings))


def serve_metrics(settings: Settings, *, host: str, port: int, as_json: bool) -> None:
    """Until SIGINT or SIGTERM.

    Raises:
        SettingsError: everybody could read them, or a setting is malformed.
        OSError: the port cannot be listened on.
    """
    if token_of(settings) is None and not is_loopback(host):
        raise SettingsError(
            f"without SURGICAL_METRICS_TOKEN only programs on this machine may read metrics, so {host} needs it: "
            "set it, and the same as `authorization` in Prometheus"
        )
    _ = open_ledger(settings)  # a wrong one is said at once, and not at each scrape
    probe = LedgerMetrics(partial(open_ledger, settings, wait_at_most_seconds=LEDGER_SECONDS), [lambda _tx: []])
    app = create_metrics_app(metrics_page(settings), probe=probe)
    with listen(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}{PATH}"
        if as_json:
            print_json({"url": url})
        else:
            tell(f"Serving metrics at {url}")
        HookServer(app).run(sockets=[listener])
        _LOG.info("stopping")


def _watches(settings: Settings) -> tuple[Watch, ...]:
    """What sensors watch; a wrong entry is told where they are, and must not keep a receiver from starting."""
    try:
        return settings.watches
    except SettingsError as error:
        _LOG.warning("how long events wait is told of all projects: %s", error)
        return ()


def _model(settings: Settings) -> str | None:
    """The configured embedder's name, as vectors are stored with it; nothing is loaded for it."""
    try:
        return settings.embedder.create().name
    except (SettingsError, EmbedderError) as error:
        _LOG.warning("how many documents lack vectors is not told: %s", error)
        return None
