"""The embedded GitLab as an ASGI app, as a blocking server, and as a server in a thread of this process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from typing import TYPE_CHECKING, Final, Self

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from surgical_pipeline.sandbox.api.errors import (
    ApiError,
    answer_api_error,
    answer_unknown_route,
    answer_wrong_method,
)
from surgical_pipeline.sandbox.api.routes import api_routes
from surgical_pipeline.sandbox.control_client import SandboxControl
from surgical_pipeline.sandbox.control_routes import control_routes
from surgical_pipeline.sandbox.hooks.board import HookBoard
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.tokens import SANDBOX_GUEST_TOKEN, SANDBOX_TOKEN, sample_viewers
from surgical_pipeline.sandbox.traffic import Traffic, TrafficMiddleware
from surgical_pipeline.sandbox.world import World, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import datetime
    from types import FrameType, TracebackType

    from surgical_pipeline.sandbox.model import Sample

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def create_app(
    sample: Sample | None = None,
    *,
    prefix: str = "",
    external_url: str | None = None,
    rate_limit: int | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Starlette:
    """The app, with its own state.

    Args:
        sample: what it holds; the standard sample by default.
        prefix: a relative URL root such as `/gitlab`, in front of `/api/v4` and `/sandbox`.
        external_url: what `Link` and all web addresses name, as behind a tunnel or a proxy; by default `Link`
            names the requested host, and web addresses a host of the sample.
        rate_limit: requests per minute for all clients together, 429 beyond; none by default.
        clock: gives the aware instants of changes made through `/sandbox`, and the `Date` of answers.
    """
    prefix = prefix.rstrip("/")
    if prefix and not prefix.startswith("/"):
        raise ValueError(f"prefix must start with a slash: {prefix}")
    traffic = Traffic(rate_limit=rate_limit, clock=clock)
    app = Starlette(
        routes=[*api_routes(), *control_routes()],
        middleware=[Middleware(TrafficMiddleware, traffic=traffic, prefix=prefix)],
        exception_handlers={ApiError: answer_api_error, 404: answer_unknown_route, 405: answer_wrong_method},
    )
    app.router.redirect_slashes = False
    app.state.world = World(sample or build_sample(), clock=clock)
    app.state.viewers = sample_viewers(app.state.world.sample)
    app.state.traffic = traffic
    app.state.hooks = HookBoard(clock)
    app.state.external_url = external_url
    return app


class _Server(uvicorn.Server):
    """Lets faults close connections, reports when it is ready, and ends on a signal without raising it again."""

    def __init__(self, app: Starlette) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="critical",
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self.ready = threading.Event()
        self._hooks: HookBoard = app.state.hooks
        self._traffic: Traffic = app.state.traffic
        self._traffic.connections = self.server_state.connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._traffic.closing = asyncio.Event()
        await super().startup(sockets=sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._traffic.closing.set()
        await self._hooks.close()
        await super().shutdown(sockets=sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    return listener


def serve(
    host: str = "127.0.0.1",
    port: int = 8929,
    *,
    app: Starlette | None = None,
    on_listening: Callable[[int], None] = lambda _port: None,
) -> None:
    """Serve until SIGINT or SIGTERM, then return. Prints nothing; raises OSError when the port is taken.

    `on_listening` is called with the port, which matters if `port` is 0 and a free one is chosen.
    """
    with _listen(host, port) as listener:
        on_listening(listener.getsockname()[1])
        _Server(app or create_app()).run(sockets=[listener])


class RunningSandbox:
    """A sandbox on a free port, in a thread of this process, for as long as the `with` block lasts.

    Takes the arguments of `create_app`, and the address to listen on. `url` is the base URL with its prefix, and
    no slash at the end.
    """

    def __init__(
        self,
        sample: Sample | None = None,
        *,
        prefix: str = "",
        external_url: str | None = None,
        rate_limit: int | None = None,
        clock: Callable[[], datetime] = utc_now,
        host: str = "127.0.0.1",
    ) -> None:
        self._host = host
        self.app = create_app(sample, prefix=prefix, external_url=external_url, rate_limit=rate_limit, clock=clock)
        self.token: str = SANDBOX_TOKEN
        self.guest_token: str = SANDBOX_GUEST_TOKEN
        self._prefix = prefix.rstrip("/")

    def __enter__(self) -> Self:
        self._listener = _listen(self._host, 0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{self._host}:{self.port}{self._prefix}"
        self.control = SandboxControl(self.url)
        self._server = _Server(self.app)
        self._thread = threading.Thread(target=self._run, name=f"sandbox-{self.port}", daemon=True)
        self._thread.start()
        if not self._server.ready.wait(timeout=10):
            self.__exit__(None, None, None)
            raise RuntimeError("the sandbox did not start within 10 seconds")
        return self

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.control.close()
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._listener.close()
