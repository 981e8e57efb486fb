"""One look at the lists of everything that is watched: the part of a tick that talks to GitLab."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio

from surgical_pipeline.domain.budgets import Deadline, MonotonicClock
from surgical_pipeline.domain.listing import ListPosition
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.list_state import ListState, Reading
from surgical_pipeline.events.poll_cursor import States, key_of
from surgical_pipeline.gitlab.changes import ListPart
from surgical_pipeline.gitlab.client import GitLabClient
from surgical_pipeline.gitlab.errors import GitLabError
from surgical_pipeline.ledger.clock import Clock, utc_now

LOOK_SECONDS = 6.0
"""For all of them, so that a tick ends within 10 s."""
WATCH_SECONDS = 4.0
"""For one of them, so that a slow one leaves time to others."""
AT_ONCE = 8
MAX_PAGES = 10
"""Of one list in one look: 1,000 rows, ten runs."""


@dataclass(slots=True)
class ListLook:
    """What one list gave. ``state`` is None, or ``reading`` is, if nothing could be read."""

    kind: EntityType
    state: ListState | None
    reading: Reading | None = None
    back: Reading | None = None
    error: GitLabError | None = None
    left_out: list[datetime] = field(default_factory=list)


@dataclass(slots=True)
class Looks:
    """``lists``: of each watch that had its turn. ``now``: GitLab's time; ``ahead``: of this machine's clock."""

    lists: dict[Watch, list[ListLook]]
    now: datetime
    ahead: timedelta
    requests: int


async def look_at_lists(
    gitlab: GitLabClient,
    watches: Sequence[Watch],
    states: States,
    *,
    since: datetime | None,
    wall: Clock = utc_now,
    monotonic: MonotonicClock = time.monotonic,
) -> Looks:
    """Look at each, the first ones first; those for which no time is left are missing.

    Args:
        gitlab: not yet connected.
        watches: what to look at.
        states: what is remembered of the lists.
        since: from when on changes count where nothing is remembered; None: from now on.
        wall: this machine's clock.
        monotonic: the clock of time limits.
    """
    deadline = Deadline.after(LOOK_SECONDS, monotonic)
    places = anyio.CapacityLimiter(AT_ONCE)
    found: dict[Watch, list[ListLook]] = {}
    async with gitlab as client, anyio.create_task_group() as looking:

        async def look(watch: Watch) -> None:
            async with places:
                if deadline.passed:
                    return
                lists = _WatchLook(client, watch, deadline.within(WATCH_SECONDS), since, wall)
                known = states.get(key_of(watch), {})
                found[watch] = await lists.look({kind: known.get(kind) for kind in EntityType})

        for watch in watches:
            looking.start_soon(look, watch)
    return Looks(found, client.clock.now(), client.clock.ahead or timedelta(), client.stats.requests)


@dataclass(frozen=True, slots=True)
class _WatchLook:
    client: GitLabClient
    watch: Watch
    deadline: Deadline
    since: datetime | None
    wall: Clock

    async def look(self, states: dict[EntityType, ListState | None]) -> list[ListLook]:
        looks = [ListLook(kind, state) for kind, state in states.items()]
        async with anyio.create_task_group() as reading:
            for one in looks:
                reading.start_soon(self._read, one)
        return looks

    async def _read(self, look: ListLook) -> None:
        if look.state is None and self.since is None:
            part = await self._pages(look, ListPosition(self.wall()), pages=1)
            look.state = ListState.beginning(part.read_at) if part.read_at else None
            return
        if look.state is None and self.since is not None:
            look.state = ListState.beginning(self.since)
        if look.state is None:
            raise AssertionError("a list that is read has a state")
        look.reading = await self._reading(look, look.state.next_position)
        back = look.state.looks_back(self.client.clock.now()) if look.reading and not look.error else None
        if back:
            look.back = await self._reading(look, back)

    async def _reading(self, look: ListLook, begun: ListPosition) -> Reading | None:
        part = await self._pages(look, begun, pages=MAX_PAGES)
        return Reading(begun, part.position, part.rows, part.read_at, part.ahead) if part.read_at else None

    async def _pages(self, look: ListLook, position: ListPosition, *, pages: int) -> ListPart:
        part = await self.client.changes(self.watch, look.kind, self.deadline).read(position, pages)
        look.error = part.error
        look.left_out += part.left_out
        return part
