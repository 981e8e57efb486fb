"""The receiver as a process: its spool, its drain and its server, started and stopped in order."""

import logging
from functools import partial

from surgical_pipeline.cli.actions.metrics import metrics_page
from surgical_pipeline.cli.terminal import print_json, tell
from surgical_pipeline.ledger.opening import open_ledger
from surgical_pipeline.metrics.access import is_loopback
from surgical_pipeline.settings import Settings, SettingsError
from surgical_pipeline.webhook.app import PATH, create_app
from surgical_pipeline.webhook.drain import Drain
from surgical_pipeline.webhook.secrets import secret_tokens, signing_tokens
from surgical_pipeline.webhook.server import HookServer, allow_many_connections, listen
from surgical_pipeline.webhook.signatures import Verifier
from surgical_pipeline.webhook.spool import Spool

_LOG = logging.getLogger(__name__)
_LEDGER_SECONDS = 10.0
"""The longest wait for the ledger in one piece: while a window waits for a shell, all others queue behind it."""


class Receiver:
    """Everything but the port is checked here.

    Raises:
        SettingsError: a secret is malformed or none is set, or the spool has no valid place.
    """

    def __init__(self, settings: Settings, *, host: str, insecure: bool) -> None:
        secrets, tokens = secret_tokens(settings), signing_tokens(settings)
        if not secrets and not tokens:
            _check_insecure(host, insecure=insecure)
        self._host = host
        self._verifier = Verifier(secrets=secrets, signing_tokens=tokens)
        self._spool = Spool(settings.spool_path)
        self._metrics = metrics_page(settings)
        self._drain = Drain(self._spool, partial(open_ledger, settings, wait_at_most_seconds=_LEDGER_SECONDS))

    def serve(self, port: int, *, as_json: bool) -> None:
        """Until SIGINT or SIGTERM.

        Raises:
            SpoolError: the spool cannot be used.
            OSError: the port cannot be listened on.
        """
        allow_many_connections()
        with listen(self._host, port) as listener:
            self._spool.open()
            self._drain.start()
            try:
                self._announce(listener.getsockname()[1], as_json=as_json)
                app = create_app(
                    self._spool, self._verifier, drain_state=lambda: self._drain.state, metrics=self._metrics
                )
                HookServer(app).run(sockets=[listener])
            finally:
                _LOG.info("stopping")
                self._drain.stop()
                self._spool.close()

    def _announce(self, port: int, *, as_json: bool) -> None:
        host = f"[{self._host}]" if ":" in self._host else self._host
        url = f"http://{host}:{port}{PATH}"
        if as_json:
            print_json({"url": url, "spool": str(self._spool.path)})
        else:
            tell(f"Taking hooks at {url}")


def _check_insecure(host: str, *, insecure: bool) -> None:
    if not insecure:
        raise SettingsError(
            "neither SURGICAL_WEBHOOK_SIGNING_TOKEN nor SURGICAL_WEBHOOK_SECRET is set, so anybody could send "
            "events: set one of them, and the same in the hook's settings in GitLab"
        )
    if not is_loopback(host):
        raise SettingsError(f"--insecure takes events from anybody, so it needs a loopback address, not {host}")
