"""The registered hooks, and the tasks that deliver to them."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import httpx

from surgical_pipeline.sandbox.api.params import format_instant
from surgical_pipeline.sandbox.hooks.bodies import Announcement, in_style
from surgical_pipeline.sandbox.hooks.headers import delivery_headers, event_name
from surgical_pipeline.sandbox.hooks.models import DeliveryView, HookSpec, HookView
from surgical_pipeline.sandbox.model import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_FAILURES_UNTIL_OFF: Final = 4
_FAILURES_UNTIL_OFF_FOR_GOOD: Final = 40
_LONGEST_BACKOFF: Final = timedelta(days=1)
_LONGEST_RECORD: Final = 20_000
_WORKERS: Final = 50
_OF_SYSTEM_HOOKS: Final = frozenset({"merge_requests", "project"})


@dataclass(slots=True)
class Hook:
    """A registered hook; `project_id` is that of a project's hook."""

    hook_id: int
    spec: HookSpec
    project_id: int | None
    random: random.Random
    failures: int = 0
    disabled_until: datetime | None = None
    pending: int = 0
    sent: int = 0

    def wants(self, announcement: Announcement) -> bool:
        project, spec = announcement.project, self.spec
        if spec.kind == "system":
            return announcement.trigger in _OF_SYSTEM_HOOKS
        if spec.kind == "group":
            of_it = project.path.lower().startswith(f"{spec.group.lower()}/")
        else:
            of_it = project.project_id == self.project_id
        return of_it and announcement.trigger in spec.events

    def status(self, now: datetime) -> Literal["executable", "temporarily_disabled", "disabled"]:
        if self.failures >= _FAILURES_UNTIL_OFF_FOR_GOOD:
            return "disabled"
        if self.disabled_until is not None and now < self.disabled_until:
            return "temporarily_disabled"
        return "executable"

    def succeeded(self) -> None:
        self.failures, self.disabled_until = 0, None

    def failed(self, now: datetime) -> None:
        """The fourth failure in a row switches it off for a minute, each later one for twice as long."""
        self.failures += 1
        beyond = self.failures - _FAILURES_UNTIL_OFF
        if beyond >= 0:
            backoff = min(timedelta(seconds=self.spec.backoff_seconds) * 2 ** min(beyond, 32), _LONGEST_BACKOFF)
            self.disabled_until = now + backoff


@dataclass(frozen=True, slots=True)
class _Letter:
    """One delivery on its way, the same when it is sent again."""

    announcement: Announcement
    event: str
    key: str
    event_uuid: str
    body: bytes


@dataclass(slots=True)
class HookBoard:
    """Sends each announcement to every hook that wants it, fifty beside each other: in no certain order.

    Used only from the server's event loop. There is no second attempt: a delivery that fails is gone.
    """

    clock: Callable[[], datetime]
    hooks: dict[int, Hook] = field(default_factory=dict)
    deliveries: deque[DeliveryView] = field(default_factory=lambda: deque(maxlen=_LONGEST_RECORD))
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _workers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_WORKERS))
    _client: httpx.AsyncClient | None = None
    _closed: bool = False
    _last_id: int = 0

    def add(self, spec: HookSpec, *, project_id: int | None = None) -> HookView:
        """Register a hook; `project_id` for one of a project."""
        self._last_id += 1
        hook = Hook(self._last_id, spec, project_id, random.Random(spec.seed))
        self.hooks[hook.hook_id] = hook
        return self.view(hook)

    def clear(self) -> None:
        """Forget every hook, delivery, and what is on its way."""
        for task in self._tasks:
            task.cancel()
        self.hooks.clear()
        self.deliveries.clear()

    async def close(self) -> None:
        """For the end of the server."""
        self._closed = True
        tasks = list(self._tasks)
        self.clear()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def view(self, hook: Hook) -> HookView:
        until = hook.disabled_until
        return HookView(
            hook_id=hook.hook_id,
            url=hook.spec.url,
            kind=hook.spec.kind,
            alert_status=hook.status(self.clock()),
            failures_in_row=hook.failures,
            disabled_until=until and format_instant(until),
            pending=hook.pending,
            sent=hook.sent,
        )

    def announce(self, announcements: Iterable[Announcement]) -> None:
        """Let every hook that wants it know of one edit; returns at once."""
        event_uuid = str(uuid.uuid4())
        for announcement in announcements:
            for hook in self.hooks.values():
                if hook.wants(announcement):
                    self.send(hook, announcement, event_uuid=event_uuid)

    def send(self, hook: Hook, announcement: Announcement, *, event_uuid: str) -> None:
        """Let one hook know, whatever it wants."""
        if self._closed:
            return
        spec = hook.spec
        body = spec.custom_body
        letter = _Letter(
            announcement,
            event_name(spec, announcement.trigger),
            key=str(uuid.uuid4()),
            event_uuid=event_uuid,
            body=render(in_style(announcement.body, spec.time_style)) if body is None else body.encode(),
        )
        lost, doubled = hook.random.random() < spec.lose, hook.random.random() < spec.double
        if lost:
            self._record(hook, letter, outcome="lost")
            return
        for _ in range(1 + doubled):
            wait = (spec.delay_ms + hook.random.uniform(0, spec.spread_ms)) / 1000
            task = asyncio.get_running_loop().create_task(self._deliver(hook, letter, wait=wait))
            hook.pending += 1
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, hook: Hook, letter: _Letter, *, wait: float) -> None:
        try:
            await asyncio.sleep(wait)
            async with self._workers:
                await self._try(hook, letter)
        finally:
            hook.pending -= 1

    async def _try(self, hook: Hook, letter: _Letter) -> None:
        if hook.status(self.clock()) != "executable":
            self._record(hook, letter, outcome="switched_off")
            return
        began = time.perf_counter()
        status = await self._post(hook, letter)
        good = status is not None and httpx.codes.is_success(status)
        if good:
            hook.succeeded()
        else:
            hook.failed(self.clock())
        seconds = time.perf_counter() - began
        self._record(hook, letter, outcome="delivered" if good else "failed", status=status, seconds=seconds)

    async def _post(self, hook: Hook, letter: _Letter) -> int | None:
        """The status of the answer; None: there was none in time."""
        if self._client is None:  # made at the first delivery: it costs what most sandboxes never need
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
            self._client = httpx.AsyncClient(trust_env=False, timeout=None, limits=limits)  # noqa: S113 - below
        hook.sent += 1
        headers = delivery_headers(
            hook.spec,
            letter.body,
            event=letter.event,
            key=letter.key,
            event_uuid=letter.event_uuid,
            now=self.clock(),
        )
        try:
            async with asyncio.timeout(hook.spec.timeout_seconds):
                answer = await self._client.post(hook.spec.url, content=letter.body, headers=headers)
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL):
            return None
        return answer.status_code

    def _record(
        self,
        hook: Hook,
        letter: _Letter,
        *,
        outcome: Literal["delivered", "failed", "switched_off", "lost"],
        status: int | None = None,
        seconds: float = 0,
    ) -> None:
        body = letter.announcement.body
        self.deliveries.append(
            DeliveryView(
                hook_id=hook.hook_id,
                event=letter.event,
                object_kind=str(body.get("object_kind", "")),
                project_id=letter.announcement.project.project_id,
                iid=_iid(body),
                key=letter.key,
                outcome=outcome,
                status=status,
                duration_ms=round(seconds * 1000, 3),
                sent_at=format_instant(self.clock()),
            )
        )


def _iid(body: dict[str, object]) -> int | None:
    """The IID of the issue or merge request that a body is about."""
    for name in ("issue", "merge_request", "work_item", "object_attributes"):
        part = body.get(name)
        if isinstance(part, dict) and "iid" in part:
            return int(part["iid"])
    return None
