"""A receiver of hooks that keeps what came in, and answers as a test wants."""

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Caught:
    """One delivery; header names in lower case."""

    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.content)
        return value

    @property
    def iid(self) -> int:
        """Of the issue or merge request that it is about."""
        body = self.body
        about = (
            body.get("issue") or body.get("merge_request") or body.get("work_item") or body["object_attributes"]
        )
        return int(about["iid"])


class HookCatcher:
    """Listens on a free loopback port for as long as the `with` block lasts.

    `status` is what it answers; while `free` is not set, deliveries are kept waiting for their answer.
    """

    def __init__(self) -> None:
        self.caught: list[Caught] = []
        self.status = 200
        self.free = threading.Event()
        self.free.set()

    def __enter__(self) -> Self:
        catcher = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                catcher.caught.append(Caught(headers, content))
                catcher.free.wait(timeout=30)
                self.send_response(catcher.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/webhooks/gitlab"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.free.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def wait_for(self, count: int, *, seconds: float = 10) -> list[Caught]:
        """The deliveries, once there are at least so many; AssertionError if they do not come in time."""
        deadline = time.monotonic() + seconds
        while len(self.caught) < count:
            assert time.monotonic() < deadline, f"{count} deliveries did not come, but {len(self.caught)}"
            time.sleep(0.01)
        return list(self.caught)
