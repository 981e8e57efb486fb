"""How far a backfill is, while it goes on: a bar on a terminal, else a line now and then."""

import time

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from surgical_pipeline.cli.terminal import err, tell
from surgical_pipeline.defs.backfill_commands import Backfills
from surgical_pipeline.domain.backfill import BackfillProgress
from surgical_pipeline.ledger.errors import LedgerError

LEAST_PAUSE_SECONDS = 1.0
_SHARE = 20
"""A look may take one part in so many of the time: with thousands of runs it takes a while."""
_LINE_EVERY_SECONDS = 30.0


class Watch:
    """Looks at one backfill. ``pause_seconds``: until the next look should come."""

    def __init__(self, backfills: Backfills, backfill_id: str, *, bar: bool) -> None:
        self._backfills = backfills
        self._id = backfill_id
        self._told_at = time.monotonic()
        self.pause_seconds = LEAST_PAUSE_SECONDS
        self.all_ended = False
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=25),
            TimeElapsedColumn(),
            console=err(),
            transient=True,
            disable=not bar,
        )
        self._task = self._bar.add_task(backfill_id, total=None)
        self._bar.start()

    def look(self) -> bool:
        """Show how far it is; whether it is over, or only Dagster's word for that is missing."""
        began = time.monotonic()
        try:
            backfill, progress = self._backfills.progress(self._id)
            self._show(progress)
            self.all_ended = progress.all_ended
        except LedgerError:
            backfill = self._backfills.find(self._id)  # others hold the ledger: the next look comes soon
        self.pause_seconds = max(LEAST_PAUSE_SECONDS, _SHARE * (time.monotonic() - began))
        return backfill.state.over or self.all_ended

    def close(self) -> None:
        self._bar.stop()

    def _show(self, progress: BackfillProgress) -> None:
        self._bar.update(
            self._task, description=sentence(progress), total=progress.entities, completed=progress.ended
        )
        now = time.monotonic()
        if self._bar.disable and now - self._told_at >= _LINE_EVERY_SECONDS:
            self._told_at = now
            tell(sentence(progress))


def sentence(progress: BackfillProgress) -> str:
    """Such as ``340/1,000 entities, 2 failed, 500 running; 1 of 2 runs ended``."""
    parts = [f"{progress.ended:,}/{progress.entities:,} entities"]
    for count, word in (
        (progress.failed, "failed"),
        (progress.missing, "missing"),
        (progress.running, "running"),
    ):
        if count:
            parts.append(f"{count:,} {word}")
    return f"{', '.join(parts)}; {progress.runs_ended:,} of {progress.runs:,} runs ended"
