"""A receiver in this process, on a port of its own: the real server over a real spool."""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
from pydantic import SecretStr

from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.events.event import GitLabEvent
from surgical_pipeline.metrics.app import MetricsPage
from surgical_pipeline.webhook.app import PATH, create_app
from surgical_pipeline.webhook.server import HookServer, listen
from surgical_pipeline.webhook.signatures import Verifier
from surgical_pipeline.webhook.spool import Spool

SECRET = "the-secret"
KEY = bytes(range(32))
SIGNING_TOKEN = f"whsec_{base64.b64encode(KEY).decode()}"


class RunningReceiver:
    """A receiver without a drain, for as long as the `with` block lasts, so that its events stay in the spool."""

    def __init__(self, folder: Path, *, metrics: MetricsPage | None = None) -> None:
        self.spool = Spool(folder / "spool")
        verifier = Verifier(secrets=[SecretStr(SECRET)], signing_tokens=[SecretStr(SIGNING_TOKEN)])
        self._server = HookServer(create_app(self.spool, verifier, metrics=metrics))

    def __enter__(self) -> Self:
        self.spool.open()
        self._listener = listen("127.0.0.1", 0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._server.ready.wait(timeout=10)
        return self

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def stop(self) -> float:
        """Ask it to stop; gives the seconds that it took."""
        began = time.monotonic()
        self._server.should_exit = True
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        return time.monotonic() - began

    def __exit__(self, *_error: object) -> None:
        self.stop()
        self._listener.close()
        self.spool.close()

    def post(self, body: Any, *, headers: Mapping[str, str] | None = None, timeout: float = 20) -> httpx.Response:
        """Send a body: bytes as they are, chunks without a length if it is an iterator, anything else as JSON."""
        ready = isinstance(body, bytes) or hasattr(body, "__next__")
        content = body if ready else json.dumps(body).encode()
        sent = {"X-Gitlab-Token": SECRET} if headers is None else headers
        return httpx.post(f"{self.url}{PATH}", content=content, headers=sent, timeout=timeout)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    @property
    def events(self) -> list[GitLabEvent]:
        return [event for _, event in self.spool.oldest(1_000_000)]

    @property
    def counters(self) -> DeliveryCounts:
        return self.spool.state().result()[1]


def issue_hook(iid: int = 7) -> dict[str, Any]:
    return {
        "object_kind": "issue",
        "project": {"id": 5, "path_with_namespace": "acme/rocket"},
        "object_attributes": {"iid": iid, "action": "update", "updated_at": "2026-06-30T10:00:00Z"},
    }


def signed(body: bytes, *, key: bytes = KEY, name: str = "delivery-1", at: float | None = None) -> dict[str, str]:
    """The headers of a signed delivery, as GitLab makes them."""
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(key, b".".join([name.encode(), stamp.encode(), body]), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": signature}
