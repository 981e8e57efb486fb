"""What polling remembers of a list, what it has just read of it, and what the ledger knows of a row: values.

All times are GitLab's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from surgical_pipeline.domain.listing import MILLISECOND, ListedEntity, ListPosition, to_milliseconds
from surgical_pipeline.domain.scope import EntityKey

OVERLAP = timedelta(seconds=90)
"""How late a row may show up: a replica lags, or a transaction commits late."""
AHEAD = timedelta(seconds=5)
"""A row that changed further in the future than this has a time that somebody set."""
MAX_TRIES = 3
BACKOFF = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10))
"""How long after its first, second, … try an entity is asked for again."""
NEVER = datetime.max.replace(tzinfo=UTC)

Identity = tuple[int, EntityKey]


@dataclass(frozen=True, slots=True)
class ListState:
    """What is remembered of one list of a project or group.

    Args:
        mark: everything that changed until then was seen, but for what shows up late.
        started: when the last reading from the beginning began; the next one begins ``OVERLAP`` before that.
        position: where an unfinished reading goes on.
        since: the oldest change that is outstanding; None: nothing is.
        page: from which page of the rows of exactly that time on; not 1 only if they fill more than one look.
            Below 0: the pages before that one are left, from the last to the first, as in ``ListPosition``.
        looked_at: when what is outstanding was last looked at as a whole.
        tries: how often the change at ``since`` was asked for without any trace of a run in the ledger.
        floor: nothing that changed until then is of interest.
    """

    mark: datetime
    started: datetime
    position: ListPosition | None = None
    since: datetime | None = None
    page: int = 1
    looked_at: datetime | None = None
    tries: int = 0
    floor: datetime | None = None

    @classmethod
    def beginning(cls, at: datetime) -> "ListState":
        """Everything that changed at that time or later is new."""
        at = to_milliseconds(at)
        return cls(mark=at - MILLISECOND, started=at + OVERLAP, floor=at - MILLISECOND)

    @property
    def next_position(self) -> ListPosition:
        """Where the next reading begins."""
        return self.position or ListPosition(self.started - OVERLAP)

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to look at what is outstanding as a whole."""
        return self.looked_at is None or now >= self.looked_at + backoff(self.tries)

    def looks_back(self, now: datetime) -> ListPosition | None:
        """From where the list is to be read once more, if what is outstanding is not read anyway."""
        if self.since is None or not self.is_due(now):
            return None
        if self.page == 1 and begins_by(self.next_position, self.since):
            return None
        return ListPosition(self.since, self.page)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one list in one go.

    Args:
        begun: the position at which it began.
        position: where it would go on; None: it was read to its end.
        rows: in the order in which they came; one may come twice.
        read_at: when its first request was sent.
        ahead: how many of the rows came before the first way back (``ListPosition``); None: there was none.
    """

    begun: ListPosition
    position: ListPosition | None
    rows: Sequence[ListedEntity]
    read_at: datetime
    ahead: int | None = None

    @property
    def known_until(self) -> datetime:
        """All rows from ``begun`` to this time were read, those of exactly this time not all."""
        if self.position is None:
            return NEVER
        return self.position.onward or self.position.anchor


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger knows of one entity.

    Args:
        updated_at: of the stored version; None: there is none.
        fetched_at: when the fetch of it began.
        complete: the run that stored it, or a later one, brought everything else of it as well.
        queued: a run that will fetch it has not begun.
        running: a run that was asked for it is at work.
        tries: runs made since the change that have ended.
        tried_at: when the last of them ended.
    """

    updated_at: datetime | None = None
    fetched_at: datetime | None = None
    complete: bool = False
    queued: bool = False
    running: bool = False
    tries: int = 0
    tried_at: datetime | None = None

    @property
    def leaves_no_trace(self) -> bool:
        """Whether the ledger shows no run that was asked for it since it changed."""
        return not (self.queued or self.running or self.tries)

    def has(self, updated_at: datetime) -> bool:
        """Whether the ledger is up to date with that change.

        A stored version that is newer counts only if its fetch began after the change: ``updated_at`` can be set.
        """
        if not self.complete or self.updated_at is None or self.fetched_at is None:
            return False
        if self.updated_at == updated_at:
            return True
        return self.updated_at > updated_at and self.fetched_at >= updated_at


UNKNOWN = Standing()


def backoff(tries: int) -> timedelta:
    """How long to wait after so many tries."""
    return BACKOFF[min(max(tries, 1), len(BACKOFF)) - 1]


def begins_by(position: ListPosition, moment: datetime, *, page: int = 1) -> bool:
    """Whether reading from the position meets all rows that changed at that moment, from that page of them on.

    ``page``: as in ``ListState``.
    """
    if position.onward is not None:
        return position.onward <= moment
    covers = position.page in (1, page) or 0 < position.page <= page
    return position.anchor < moment or (position.anchor == moment and covers)
