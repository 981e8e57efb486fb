"""Deleting runs that ended long ago, with their stages, outcomes and failures, and events that are settled.

Content is never deleted, and no run that has not ended. Of the old runs these stay:

* the last run of each issue and merge request, and the last one that brought it up to date: when something was
  last synced, and by what, always has an answer;
* of the runs that have failed for it since then, the newest ``TRIES``: sensors count them, and would begin anew;
* the run that wrote an entity's present row: whether it is complete depends on that run's outcome;
* parents of runs that have not ended or are not old, which a re-execution continues;
* runs that a pending event or a dead letter names as the one that tried last;
* the newest run, after which the next one is numbered, and which cursors name (``mark_of``);
* runs that Dagster still has, which the mirror would bring back, and runs of other Dagster instances: only the
  instance that made a run concludes anything about it.

Runs may also be named by documents, vectors and dependents that they wrote last. That keeps none: nothing asks
them.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.domain.pruning import PruneWish
from surgical_pipeline.events.list_state import MAX_TRIES
from surgical_pipeline.events.settling import PAUSES
from surgical_pipeline.ledger.protocol import Ledger, Transaction

TRIES = max(MAX_TRIES, len(PAUSES))
AIM_MS = 100.0
"""Others wait while the lock is held: a longer window makes the next batch smaller, and a short one larger."""
EVENTS_AT_ONCE = 2_000
_PAGE = 2_000
"""Each page goes through the whole tables once, so four times as many runs in one take hardly longer."""
_FIRST, _FEWEST, _MOST = 100, 50, 400
"""Runs that go in one window. Below the fewest a window is hardly shorter: it goes through whole tables."""
_NEEDED = "the last run of an entity, or something needs it"
_IN_DAGSTER = "Dagster still has it"
_OF_OTHERS = "of another Dagster instance"


@dataclass(slots=True)
class Pruned:
    """``kept``: how many old runs stay, by reason; ``windows``: in which was written."""

    runs: int = 0
    events: int = 0
    windows: int = 0
    longest_held_ms: float = 0.0
    kept: dict[str, int] = field(default_factory=dict)


StillKnown = Callable[[Sequence[str]], Collection[str]]
"""Those of these runs that Dagster still has."""


def prune_ledger(ledger: Ledger, wish: PruneWish, *, instance: str | None, still_known: StillKnown) -> Pruned:
    """Delete what is old, in windows of about ``AIM_MS``; with ``dry_run`` only count it.

    A kill loses nothing but the batch that was under way, and the next call goes on. Two at once do no harm.

    Args:
        ledger: with a file; a ledger that was never written has nothing to delete.
        wish: what is old.
        instance: the Dagster instance whose runs are meant; None: it has no name, and no run is deleted.
        still_known: asked outside of windows, before the rows go.

    Raises:
        LedgerError: the ledger cannot be read or written now; what is deleted is deleted.
    """
    work = _Work(ledger, wish)
    for batch in _old_runs(ledger, wish, instance=instance):
        work.take(batch, set(still_known(batch)))
    if wish.takes_events:
        work.take_events()
    others = _count_of_others(ledger, wish, instance=instance)
    work.keep(_OF_OTHERS, others)
    return work.done


def run_statuses(tx: Transaction, run_ids: Sequence[str]) -> dict[str, RunStatus]:
    """The statuses of these runs; one that the ledger does not know is missing."""
    return {run_id: RunStatus(status) for run_id, status in tx.execute("load_run_statuses", run_ids=list(run_ids))}


def _old_runs(ledger: Ledger, wish: PruneWish, *, instance: str | None) -> Iterator[list[str]]:
    """The newest first, so that a run goes before the one that it re-executed."""
    below = 2**63 - 1
    while True:
        with ledger.read("prune") as tx:
            page = tx.execute(
                "list_old_runs",
                before=wish.before,
                instance=instance,
                triggers=sorted(wish.triggers),
                below=below,
                limit=_PAGE,
            )
        if page:
            yield [run_id for run_id, _ in page]
        if len(page) < _PAGE:
            return
        below = page[-1][1]


def _count_of_others(ledger: Ledger, wish: PruneWish, *, instance: str | None) -> int:
    with ledger.read("prune") as tx:
        (count,) = tx.column(
            "count_old_runs_of_others", before=wish.before, instance=instance, triggers=sorted(wish.triggers)
        )
    return int(count)


class _Work:
    """``done``: what it has come to so far."""

    def __init__(self, ledger: Ledger, wish: PruneWish) -> None:
        self._ledger = ledger
        self._wish = wish
        self._size = _FIRST
        self.done = Pruned()

    def keep(self, reason: str, count: int) -> None:
        if count:
            self.done.kept[reason] = self.done.kept.get(reason, 0) + count

    def take(self, run_ids: Sequence[str], known: Collection[str]) -> None:
        """Delete those that nothing needs and that Dagster does not know."""
        ours = [run_id for run_id in run_ids if run_id not in known]
        self.keep(_IN_DAGSTER, len(run_ids) - len(ours))
        going = self._unneeded(ours)
        deleted = len(going) if self._wish.dry_run else self._delete(going)
        self.done.runs += deleted
        self.keep(_NEEDED, len(ours) - deleted)

    def take_events(self) -> None:
        if self._wish.dry_run:
            with self._ledger.read("prune") as tx:
                self.done.events = int(tx.column("count_old_events", before=self._wish.before)[0])
            return
        while deleted := self._measured(lambda tx: _prune_events(tx, self._wish.before)):
            self.done.events += deleted

    def _unneeded(self, run_ids: Sequence[str]) -> list[str]:
        """What is not needed never will be again, but for one thing: that somebody repeats it."""
        with self._ledger.read("prune") as tx:
            return tx.column("list_runs_to_prune", run_ids=list(run_ids), before=self._wish.before, tries=TRIES)

    def _delete(self, run_ids: Sequence[str]) -> int:
        deleted, rest = 0, list(run_ids)
        while rest:
            batch, rest = rest[: self._size], rest[self._size :]
            deleted += self._measured(partial(_prune_runs, run_ids=batch, before=self._wish.before))
        return deleted

    def _measured(self, work: Callable[[Transaction], int]) -> int:
        before = self._ledger.stats
        with self._ledger.write("prune") as tx:
            deleted = work(tx)
        after = self._ledger.stats
        windows = after.windows - before.windows  # one more if the log was folded in
        held_ms = (after.held_ms - before.held_ms) / windows
        self.done.windows += windows
        self.done.longest_held_ms = max(self.done.longest_held_ms, held_ms)
        if held_ms > AIM_MS:
            self._size = max(_FEWEST, self._size // 2)
        elif held_ms < AIM_MS / 2:
            self._size = min(_MOST, self._size * 2)
        return deleted


def _prune_runs(tx: Transaction, run_ids: Sequence[str], before: datetime) -> int:
    spared = set(tx.column("list_runs_to_spare", run_ids=list(run_ids), before=before))
    going = [run_id for run_id in run_ids if run_id not in spared]
    if not going:
        return 0
    tx.execute("keep_failure_counts", run_ids=going)
    for query in ("prune_failures", "prune_outcomes", "prune_phases"):
        tx.execute(query, run_ids=going)
    return len(tx.execute("prune_runs", run_ids=going))


def _prune_events(tx: Transaction, before: datetime) -> int:
    return len(tx.column("prune_events", before=before, limit=EVENTS_AT_ONCE))
