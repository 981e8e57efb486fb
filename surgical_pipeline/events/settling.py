"""When an entity is due to be fetched once more, though nothing says that it has changed.

GitLab moves ``updated_at`` for notes and labels at most once in 60 s, and a read replica may lag by as much: what
was fetched sooner after it may have changed unseen. And a new merge request is prepared in the background, which
does not move ``updated_at``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from surgical_pipeline.domain.freshness import SETTLING_TIME
from surgical_pipeline.domain.scope import EntityKey

PREPARED_WITHIN = timedelta(hours=1)
"""A merge request that is not prepared so long after it was made is left as it is."""
PAUSES = (timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
"""The wait after the run that fetched it, and after each further one that did not bring it up to date."""


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A live entity that may have changed unseen. Times are GitLab's but for ``tried_at``, which is a machine's.

    Args:
        project_id: GitLab's numeric id.
        project: the project's path.
        key: the entity.
        updated_at: as GitLab gave it.
        fetched_at: when the stored fetch began.
        preparing_since: when it was made, if it is a merge request that is not prepared; else None.
        tries: runs for it that have ended since, without bringing a fresher fetch.
        tried_at: when the last run for it ended; None if the ledger has none.
    """

    project_id: int
    project: str
    key: EntityKey
    updated_at: datetime
    fetched_at: datetime
    preparing_since: datetime | None = None
    tries: int = 0
    tried_at: datetime | None = None

    @property
    def identity(self) -> tuple[int, EntityKey]:
        return self.project_id, self.key

    @property
    def due_at(self) -> datetime | None:
        """From when on it is due; None: it is settled."""
        settles_at = self.updated_at + SETTLING_TIME
        if self.fetched_at < settles_at:
            return settles_at
        made_at = self.preparing_since
        if made_at is None or self.fetched_at >= made_at + PREPARED_WITHIN:
            return None
        return self.fetched_at + max(SETTLING_TIME, self.fetched_at - made_at)


def are_due(found: Sequence[Unsettled], now: datetime) -> list[Unsettled]:
    """Those that are due, and were not tried in vain too often or too lately."""
    return [one for one in found if one.due_at is not None and one.due_at <= now and _may_be_tried(one, now)]


def _may_be_tried(one: Unsettled, now: datetime) -> bool:
    if one.tries >= len(PAUSES):
        return False  # it changes or a sweep looks at it; until then nothing is to be expected
    return one.tried_at is None or now >= one.tried_at + PAUSES[one.tries]
