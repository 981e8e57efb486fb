"""A backfill without Dagster's daemon: this process runs its chunks, one after the other."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import dagster as dg

from surgical_pipeline.defs.backfills import Launched, config_of, launch
from surgical_pipeline.defs.dagster_internals import BulkActionStatus
from surgical_pipeline.defs.dagster_runs import BACKFILL_TAG, worker_tags
from surgical_pipeline.defs.launch import Launch
from surgical_pipeline.domain.backfill import BackfillPlan
from surgical_pipeline.domain.progress import Progress
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline.ledger.protocol import Ledger

NOT_YET = BulkActionStatus.COMPLETED_FAILED
"""Dagster's word for a backfill of ours until it has come to its end: one that a kill does not make wrong.

Its daemon leaves what is over alone, or it would make the same runs.
"""


class LocalBackfill:
    """One backfill in this process. ``launched``: it, or the same one that is under way elsewhere."""

    def __init__(
        self,
        plan: BackfillPlan,
        *,
        instance: dg.DagsterInstance,
        ledger: Ledger,
        tags: Mapping[str, str],
        log_level: str,
    ) -> None:
        self._plan = plan
        self._instance = instance
        self._ledger = ledger
        self._log_level = log_level
        self._running: tuple[int, Launch | None] = (0, None)
        own = {**tags, **worker_tags(ProcessIdentity.of_this_process())}
        self.launched: Launched = launch(instance, plan, tags=own, status=NOT_YET)

    @property
    def progress(self) -> Progress | None:
        """Of the run that goes on, from any thread; None before its first stage."""
        number, run = self._running
        now = run.progress if run is not None else None
        return now and replace(now, phase=f"run {number:,} of {len(self._plan.chunks):,}: {now.phase}")

    def execute(self, *, cancelled: Callable[[], bool]) -> None:
        """Run the chunks to the end, or until somebody asks to stop; ledger and Dagster say what became of each.

        ``cancelled``: whether somebody has.
        """
        statuses = set()
        for number, key in enumerate(self._plan.chunks, start=1):
            if cancelled():
                break
            statuses.add(self._run(number, key, cancelled=cancelled))
        self._conclude(statuses, cancelled=cancelled())

    def _run(self, number: int, key: str, *, cancelled: Callable[[], bool]) -> dg.DagsterRunStatus | None:
        backfill = self._instance.get_backfill(self.launched.backfill_id)
        tags = dict(backfill.tags) if backfill else {}
        run = Launch(
            {**config_of(self._plan), "loggers": {"console": {"config": {"log_level": self._log_level}}}},
            instance=self._instance,
            ledger=self._ledger,
            tags={**tags, BACKFILL_TAG: self.launched.backfill_id},
            partition=key,
        )
        self._running = number, run
        run.execute(cancelled=cancelled)
        found = self._instance.get_run_by_id(run.run_id)
        return found.status if found else None

    def _conclude(self, statuses: set[dg.DagsterRunStatus | None], *, cancelled: bool) -> None:
        status = BulkActionStatus.COMPLETED_FAILED
        if cancelled:
            status = BulkActionStatus.CANCELED
        elif statuses == {dg.DagsterRunStatus.SUCCESS}:
            status = BulkActionStatus.COMPLETED_SUCCESS
        backfill = self._instance.get_backfill(self.launched.backfill_id)
        if backfill is not None:
            self._instance.update_backfill(backfill._replace(status=status, backfill_end_timestamp=time.time()))
