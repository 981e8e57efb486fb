"""When pending events are asked for: how long they wait, what one run takes, and when it is tried again.

An entity is asked for at most once at a time: while a run that takes events of it has not ended, later events of
it wait for that end, and one more run serves them all. That, and the short wait before it, is what makes fifty
notes one sync or two.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, zip_longest

from surgical_pipeline.domain.scope import CHUNK_SIZE, EntityKey, EntityType, Scope

LONE = timedelta(seconds=1)
"""A lone event waits as long: most actions send their events together."""
QUIET = timedelta(seconds=2)
"""Several events of one entity wait until no further one has come for so long …"""
LONGEST = timedelta(seconds=10)
"""… but never longer than this."""
BACKOFF = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1))
"""The wait after the first, second, … attempt."""
MAX_ATTEMPTS = len(BACKOFF) + 1
MAX_ASKS = 10
"""Runs that one tick asks for: Dagster takes 0.3 s to submit one."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An issue or merge request that has pending events.

    Args:
        project_id: GitLab's numeric id.
        project: the project for people: its path, or its id if no path is known.
        key: the entity.
        first_seq: the lowest number of its pending events.
        last_seq: the highest.
        events: how many they are.
        fresh: how many of them no run has tried in vain.
        oldest_at: when the first of the fresh ones was received.
        newest_at: when the last of them was.
        attempts: of those that were tried, the fewest attempts.
        attempted_at: when the last attempt ended; None if there was none.
    """

    project_id: int
    project: str
    key: EntityKey
    first_seq: int
    last_seq: int
    events: int = 1
    fresh: int = 1
    oldest_at: datetime | None = None
    newest_at: datetime | None = None
    attempts: int = 0
    attempted_at: datetime | None = None

    @property
    def identity(self) -> tuple[int, EntityKey]:
        return self.project_id, self.key


@dataclass(frozen=True, slots=True)
class Ask:
    """One run to be asked for: entities of one project, and their events up to ``upto``, ``events`` of them.

    ``attempt``: 1 at first; the highest of its entities.
    """

    project_id: int
    project: str
    keys: tuple[EntityKey, ...]
    first_seq: int
    upto: int
    events: int
    attempt: int

    @property
    def scope(self) -> Scope:
        """By the project's id: a path can be another project's by the time the run begins."""
        return Scope.of(
            str(self.project_id),
            issue_iids=(key.iid for key in self.keys if key.entity_type is EntityType.ISSUE),
            mr_iids=(key.iid for key in self.keys if key.entity_type is EntityType.MERGE_REQUEST),
        )

    def __str__(self) -> str:
        """For people; ends with the number up to which it takes events."""
        events = "1 event" if self.events == 1 else f"{self.events} events"
        again = f", attempt {self.attempt}" if self.attempt > 1 else ""
        return f"{events}{again}, up to {self.upto}"


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts, at least one."""
    return BACKOFF[min(attempts, len(BACKOFF)) - 1]


def is_ripe(one: Waiting, now: datetime) -> bool:
    """Whether it is to be asked for now, for its fresh events or because it is time to try again.

    ``now`` is this machine's time. A receiver whose clock is ahead does not delay its events.
    """
    if one.attempted_at is not None and now >= one.attempted_at + backoff(one.attempts):
        return True
    if not one.fresh or one.oldest_at is None or one.newest_at is None:
        return False
    if one.oldest_at > now:
        return True
    if one.fresh == 1:
        return now >= one.oldest_at + LONE
    return now >= min(one.newest_at + QUIET, one.oldest_at + LONGEST)


def to_ask(
    waiting: Iterable[Waiting],
    *,
    now: datetime,
    held: Collection[tuple[int, EntityKey]] = frozenset(),
    size: int = CHUNK_SIZE,
    most: int = MAX_ASKS,
) -> tuple[Ask, ...]:
    """What to ask for now: one run for each project, more only if it has more than ``size`` ripe entities.

    Entities whose events wait longest come first, and no project waits for all of another's runs.

    Args:
        waiting: each entity once.
        now: as for ``is_ripe``.
        held: entities that have a run already.
        size: entities for one run.
        most: runs at once; what is left is for the next tick.
    """
    by_project: dict[int, list[Waiting]] = {}
    for one in sorted(waiting, key=lambda one: one.first_seq):
        if one.identity not in held and is_ripe(one, now):
            by_project.setdefault(one.project_id, []).append(one)
    chunks = ([ripe[at : at + size] for at in range(0, len(ripe), size)] for ripe in by_project.values())
    in_turn = chain.from_iterable(zip_longest(*chunks))
    return tuple(_ask(chunk) for chunk in in_turn if chunk)[:most]


def _ask(chunk: Sequence[Waiting]) -> Ask:
    return Ask(
        project_id=chunk[0].project_id,
        project=chunk[0].project,
        keys=tuple(sorted(one.key for one in chunk)),
        first_seq=min(one.first_seq for one in chunk),
        upto=max(one.last_seq for one in chunk),
        events=sum(one.events for one in chunk),
        attempt=max(one.attempts for one in chunk) + 1,
    )
