"""The part of Dagster's daemon that makes, watches and cancels the runs of backfills.

As Dagster's own: what it made before it died it finds again by the tags of its runs, and it writes back the copy
of a backfill that it read a moment before, whatever others wrote meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

import dagster as dg
from dagster import DagsterRunStatus

from surgical_pipeline.defs.dagster_internals import BulkActionStatus, PartitionBackfill
from surgical_pipeline.defs.dagster_runs import BACKFILL_TAG, BACKGROUND, PARTITION_TAG, partition_tags
from surgical_pipeline_tests.simulation.dagster_storage import DagsterStorage, StoredRun
from surgical_pipeline_tests.simulation.interruptible import run_interruptible, wait_for
from surgical_pipeline_tests.simulation.processes import Process

LOOK_SECONDS = (20.0, 40.0)
_KEYS_AT_ONCE = 2
"""Dagster's are 25; backfills of a simulation have few."""
_ENDS_AS = {
    BulkActionStatus.CANCELING: BulkActionStatus.CANCELED,
    BulkActionStatus.FAILING: BulkActionStatus.FAILED,
}
UNDER_WAY = (BulkActionStatus.REQUESTED, *_ENDS_AS)
_BAD = (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


@dataclass
class BackfillDaemon:
    """``cancel_run``: asks for a run's end, as anybody in the UI. ``random``: of its pauses."""

    process: Process
    storage: DagsterStorage
    cancel_run: Callable[[str], None]
    random: Random

    async def look(self) -> None:
        """Again and again, until the process dies."""
        while True:
            await self.process.sleep(self.random.uniform(*LOOK_SECONDS))
            self.storage.backfill_daemon_seen = self.process.machine.wall()
            for backfill_id in list(self.storage.backfills):
                if self._read(backfill_id).status in UNDER_WAY:
                    await run_interruptible(partial(self._iterate, backfill_id))

    def _iterate(self, backfill_id: str) -> None:
        self._pause("looks at a backfill")
        backfill = self._read(backfill_id)
        if backfill.status in _ENDS_AS:
            self._end(backfill)
            return
        while backfill.status is BulkActionStatus.REQUESTED:
            keys, checkpoint, more = self._next_keys(backfill)
            for key in keys:
                self._submit(backfill, key)
            backfill = self._read(backfill_id)
            if backfill.status is not BulkActionStatus.REQUESTED:
                return
            if not more:
                self._conclude(backfill, checkpoint)
                return
            self._pause("goes on with a backfill")
            self._write(_upto(backfill, checkpoint))
            backfill = self._read(backfill_id)

    def _next_keys(self, backfill: PartitionBackfill) -> tuple[list[str], str, bool]:
        """Keys without a run, how far one has come with them, and whether there are more."""
        names, checkpoint = list(backfill.partition_names or ()), backfill.last_submitted_partition_name or ""
        rest = names[names.index(checkpoint) + 1 :] if checkpoint in names else names
        chosen = rest[:_KEYS_AT_ONCE]
        made = {run.run.tags[PARTITION_TAG] for run in self._runs(backfill)}
        following = chosen[-1] if chosen else checkpoint
        return [key for key in chosen if key not in made], following, len(rest) > _KEYS_AT_ONCE

    def _submit(self, backfill: PartitionBackfill, key: str) -> None:
        self._pause("submits a run of a backfill")
        tags = {**BACKGROUND, **backfill.tags, **partition_tags(key), BACKFILL_TAG: backfill.backfill_id}
        request = dg.RunRequest(run_config=backfill.run_config, tags=tags)
        self.storage.create(self.storage.new_id(), request, sensor=None)

    def _conclude(self, backfill: PartitionBackfill, checkpoint: str) -> None:
        self._pause("asks for the runs of a backfill")
        runs = self._runs(backfill)
        if all(one.finished for one in runs):
            bad = any(one.run.status in _BAD for one in runs)
            ended = BulkActionStatus.COMPLETED_FAILED if bad else BulkActionStatus.COMPLETED_SUCCESS
            self._over(backfill, ended)
        else:
            self._write(_upto(backfill, checkpoint))

    def _end(self, backfill: PartitionBackfill) -> None:
        for one in self._runs(backfill):
            if not one.finished and one.run.status is not DagsterRunStatus.CANCELING:
                self._pause("cancels a run of a backfill")
                self.cancel_run(one.run.run_id)
        if all(one.finished for one in self._runs(backfill)):
            self._pause("calls a backfill over")
            self._over(backfill, _ENDS_AS[backfill.status])

    def _over(self, backfill: PartitionBackfill, status: BulkActionStatus) -> None:
        now = self.process.machine.wall().timestamp()
        self._write(backfill._replace(status=status, backfill_end_timestamp=now))

    def _read(self, backfill_id: str) -> PartitionBackfill:
        return self.storage.backfills[backfill_id]

    def _write(self, backfill: PartitionBackfill) -> None:
        self.process.must_live()
        self.storage.backfills[backfill.backfill_id] = backfill
        self.process.trace.add("dagster", f"backfill {backfill.title} is {backfill.status.value}")

    def _runs(self, backfill: PartitionBackfill) -> list[StoredRun]:
        return self.storage.runs_of(backfill.backfill_id)

    def _pause(self, what: str) -> None:
        self.process.point(what)
        wait_for(self.process.sleep(self.random.uniform(0.01, 0.5)))


def _upto(backfill: PartitionBackfill, checkpoint: str) -> PartitionBackfill:
    return backfill._replace(last_submitted_partition_name=checkpoint)
