"""How far a backfill is, while it goes on: by the ledger, for the one display of progress."""

import time

from surgical_pipeline.defs.backfill_commands import Backfills
from surgical_pipeline.domain.progress import Progress
from surgical_pipeline.ledger.errors import LedgerError

LEAST_PAUSE_SECONDS = 1.0
_SHARE = 20
"""A look may take one part in so many of the time: with thousands of runs it takes a while."""


class Watch:
    """Looks at one backfill. ``pause_seconds``: until the next look should come; ``now``: what the last saw."""

    def __init__(self, backfills: Backfills, backfill_id: str) -> None:
        self._backfills = backfills
        self._id = backfill_id
        self._began = time.monotonic()
        self.pause_seconds = LEAST_PAUSE_SECONDS
        self.all_ended = False
        self.now: Progress | None = None

    def look(self) -> bool:
        """Whether it is over, or only Dagster's word for that is missing."""
        began = time.monotonic()
        try:
            backfill, progress = self._backfills.progress(self._id)
            self.all_ended = progress.all_ended
            self.now = Progress(
                "backfill",
                done=progress.ended,
                total=progress.entities,
                failed=progress.failed + progress.missing,
                seconds=began - self._began,
            )
        except LedgerError:
            backfill = self._backfills.find(self._id)  # others hold the ledger: the next look comes soon
        self.pause_seconds = max(LEAST_PAUSE_SECONDS, _SHARE * (time.monotonic() - began))
        return backfill.state.over or self.all_ended
