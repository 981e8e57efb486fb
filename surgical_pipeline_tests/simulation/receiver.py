"""The receiver of hooks as a process: the real app, spool and drain, and the deliveries that GitLab sends it."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from pydantic import SecretStr
from starlette.types import Message

from surgical_pipeline.ledger.errors import LedgerError
from surgical_pipeline.sandbox.hooks.board import Hook
from surgical_pipeline.sandbox.hooks.bodies import Announcement, in_style
from surgical_pipeline.sandbox.hooks.headers import delivery_headers, event_name
from surgical_pipeline.sandbox.hooks.models import HookSpec
from surgical_pipeline.sandbox.model import render
from surgical_pipeline.webhook.app import PATH, create_app
from surgical_pipeline.webhook.drain import Drain
from surgical_pipeline.webhook.signatures import Unverified, Verified, Verifier
from surgical_pipeline.webhook.spool import Spool, _Request
from surgical_pipeline.webhook.spool_file import SpoolError, Work
from surgical_pipeline_tests.simulation.gitlab import GROUP, SimulatedGitLab
from surgical_pipeline_tests.simulation.interruptible import run_interruptible
from surgical_pipeline_tests.simulation.ledger import StoredLedger
from surgical_pipeline_tests.simulation.processes import Process

T = TypeVar("T")
SECRET = "a secret of hooks"
_OK, _REDIRECT = 200, 300


class InlineSpool(Spool):
    """The spool without its thread: what is asked of it is done at once."""

    def __init__(self, path: Path, process: Process) -> None:
        super().__init__(path)
        self._process = process

    def open(self) -> None:
        self.filled.set()

    def close(self) -> None:
        self._file.close()

    def _ask(self, work: Work) -> "Future[Any]":
        result: Future[Any] = Future()
        self._process.point("writes into the spool")
        self._answer([_Request(work, result)])
        self._process.point("wrote into the spool")
        return result


class _SignedVerifier(Verifier):
    """Takes the time of a signed delivery as it is: whether signatures are too old is told by the real clock."""

    def check(self, headers: Mapping[str, str], body: bytes) -> Verified | Unverified:
        found = super().check(headers, body)
        if not isinstance(found, Verified) or "webhook-timestamp" not in headers:
            return found
        return Verified(sent_at=datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC))


@dataclass
class Receiver:
    """One life of it; a killed one is followed by another over the same spool."""

    process: Process
    spool_path: Path
    file: StoredLedger

    def __post_init__(self) -> None:
        wall = self.process.machine.wall
        self.spool = InlineSpool(self.spool_path, self.process)
        self.spool.open()
        self.process.on_death.append(self.spool.close)
        self._app = create_app(self.spool, _SignedVerifier(secrets=[SecretStr(SECRET)]), clock=wall)
        ledger = self.file.opened_by(self.process)
        self._drain = Drain(self.spool, lambda: ledger, clock=wall)
        self.process.start(self._bring_over())

    def waiting_keys(self) -> set[str]:
        """Of the events in the spool, as another program would read it."""
        if not self.spool_path.exists():
            return set()
        with contextlib.closing(sqlite3.connect(self.spool_path)) as connection:
            return {key for (key,) in connection.execute("SELECT event_key FROM events")}

    async def post(self, headers: dict[str, str], body: bytes) -> int | None:
        """The status of the answer; None: there was none."""
        if not self.process.alive:
            return None
        answering = self.process.start(self._answer(headers, body))
        await asyncio.wait((answering,), timeout=10)
        if not answering.done() or answering.cancelled() or answering.exception() is not None:
            return None
        status: int = answering.result()
        return status

    async def _answer(self, headers: dict[str, str], body: bytes) -> int:
        await self.process.pause("takes a hook")
        status = await _post(self._app, headers, body)
        await self.process.pause(f"answers {status}")
        return status

    async def _bring_over(self) -> None:
        """The drain's thread."""
        while True:
            await self.process.sleep(self.process.random.uniform(0.2, 3))
            if not self.spool.filled.is_set():
                continue
            self.spool.filled.clear()
            try:
                await run_interruptible(self._drain.bring_over)
            except (LedgerError, SpoolError):
                self.spool.filled.set()
                await self.process.sleep(5)


async def _post(app: Any, headers: dict[str, str], body: bytes) -> int:
    """One request to an ASGI app; gives the status."""
    status: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("receiver", 80),
    }
    await app(scope, receive, send)
    return status[0]


@dataclass
class Hooks:
    """GitLab's one hook, of the project, its group or all of GitLab.

    ``answered``: keys of deliveries that were answered with 2xx."""

    gitlab: SimulatedGitLab
    receiver: Receiver | None = None
    sent: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    on_way: int = 0
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def __post_init__(self) -> None:
        kind = self.gitlab.surroundings.hook
        spec = HookSpec(url="http://receiver.simulated", token=SECRET, kind=kind, group=GROUP)
        self._hook = Hook(1, spec, self.gitlab.project_id, Random(0))

    def announce(self, announced: list[Announcement], delays: tuple[float, ...]) -> None:
        """Send each as often, and after as many seconds each time."""
        for announcement in announced:
            if not self._hook.wants(announcement):
                continue
            key = f"delivery-{len(self.sent) + 1}"
            self.sent.add(key)
            for delay in delays:
                task = asyncio.get_running_loop().create_task(self._deliver(announcement, key, delay))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _deliver(self, announcement: Announcement, key: str, delay: float) -> None:
        self.on_way += 1
        try:
            await asyncio.sleep(delay)
            await self._try(announcement, key)
        finally:
            self.on_way -= 1

    async def _try(self, announcement: Announcement, key: str) -> None:
        if self.receiver is None or self._hook.status(self.gitlab.clock()) != "executable":
            return
        body = render(in_style(announcement.body, self._hook.spec.time_style))
        headers = delivery_headers(
            self._hook.spec,
            body,
            event=event_name(self._hook.spec, announcement.trigger),
            key=key,
            event_uuid=key,
            now=self.gitlab.clock(),
        )
        if self.gitlab.surroundings.signed:
            headers |= {"webhook-id": key, "webhook-timestamp": str(int(self.gitlab.clock().timestamp()))}
        status = await self.receiver.post(headers, body)
        if status is not None and _OK <= status < _REDIRECT:
            self._hook.succeeded()
            self.answered.add(key)
        else:
            self._hook.failed(self.gitlab.clock())
