"""The mirror: copies Dagster's status to the ledger and the ledger's to Dagster, until both agree about a run.

The sensor, the start of a command and `runs reconcile` share it. Everything it does can be repeated: it compares
and writes only what differs, and ends only runs that are still open.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

import dagster as dg
from dagster import DagsterRunStatus
from pydantic import BaseModel, ConfigDict

from surgical_pipeline.defs.dagster_home import id_of
from surgical_pipeline.defs.dagster_runs import (
    FORMER_TAGS,
    LEDGER_TAG,
    NOT_FINISHED,
    events_upto_of,
    hidden_tag,
    is_shared,
    is_surgical,
    mode_of,
    scope_of,
    trigger_of,
    worker_of,
)
from surgical_pipeline.defs.dagster_words import ending_of, report_ending
from surgical_pipeline.defs.run_pages import pages_of
from surgical_pipeline.defs.signs_of_life import signs_of
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.domain.reconciliation import START_WITHIN, Ending, Liveness, judge
from surgical_pipeline.ledger.clock import Clock
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import (
    RunSummary,
    find_run,
    ledger_name,
    list_open_runs,
    queue_run,
    set_dagster_status,
)

OVERLAP = timedelta(seconds=30)
"""Dagster's update times come from several processes and may arrive out of order."""
FIRST_LOOK_BACK = timedelta(hours=24)
"""On its first pass, the mirror ignores runs that ended longer ago."""

_CANCELLATIONS = {
    Ending.CANCELLED: "The run was cancelled.",
    Ending.DELETED: "The run was deleted in Dagster before it started.",
}

_LOG = logging.getLogger(__name__)


class Change(BaseModel):
    """``what``: queued, failed or cancelled (in the ledger), or reported (to Dagster). ``detail``: why."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    what: str
    detail: str


class Mirror:
    """One pass over both sides. ``changes``: what was corrected, except Dagster's statuses.

    ``clock``: None: the ledger's. ``liveness_of``: whether the process that works on a run is still there.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        ledger: Ledger,
        *,
        clock: Clock | None = None,
        liveness_of: Callable[[RunSummary], Liveness] = attrgetter("liveness"),
    ) -> None:
        self._instance = instance
        self._ledger = ledger
        self._clock = clock or ledger.clock
        self._liveness_of = liveness_of
        self._id = id_of(instance)
        self._ledger_name: str | None = None
        self._older = False
        self.changes: list[Change] = []

    def reconcile(self, since: datetime | None = None) -> datetime:
        """Everything that changed in Dagster after ``since``, and every run that is open on either side.

        Returns the time to continue from on the next pass, which is never in the future: a ``since`` that is says
        that the clock was set back meanwhile, and that what changed since then looks older than what was seen.

        Raises:
            LedgerError: the ledger cannot be read or written now; nothing is lost: the next pass starts again.
        """
        present = self._clock()
        newest = since if since is not None and since <= present else present - FIRST_LOOK_BACK
        for page in pages_of(self._instance, dg.RunsFilter(updated_after=newest - OVERLAP)):
            self.bring_over(page)
            newest = max(newest, page[-1].update_timestamp)
        self.bring_back()
        self.settle()
        return min(newest, present)

    def bring_back(self) -> None:
        """Rows for all runs that succeeded in this ledger before an older copy replaced it."""
        if not self._ledger.exists:
            return
        if self._ledger_name is None:
            with self._ledger.read("mirror") as tx:
                self._ledger_name = ledger_name(tx)
        written = [
            dg.RunsFilter(tags={tag: self._ledger_name}, statuses=[DagsterRunStatus.SUCCESS])
            for tag in (LEDGER_TAG, FORMER_TAGS[LEDGER_TAG])
        ]
        newest = (self._instance.get_run_records(one, limit=1, order_by="update_timestamp") for one in written)
        self.bring_over(next(filter(None, newest), ()))
        if self._older:
            for one in written:
                for page in pages_of(self._instance, one):
                    self.bring_over(page)

    def bring_over(self, records: Sequence[dg.RunRecord]) -> None:
        """Rows for runs that the ledger does not know yet, and Dagster's status for those whose status changed."""
        ours = {record.dagster_run.run_id: record for record in records if is_surgical(record.dagster_run)}
        if not ours:
            return
        known = {run.run_id: run.dagster_status for run in self._open_runs(ours) if run.run_id in ours}
        unseen = [
            record.dagster_run
            for run_id, record in ours.items()
            if run_id not in known and record.dagster_run.status is DagsterRunStatus.SUCCESS
        ]
        # They succeeded in another ledger: nothing to do; or in this one, which is now an older copy.
        elsewhere = {run.run_id for run in unseen if (hidden_tag(run, LEDGER_TAG) or "") != self._ledger_name}
        self._older = self._older or len(elsewhere) < len(unseen)
        changed = {
            run_id: record
            for run_id, record in ours.items()
            if known.get(run_id) != record.dagster_run.status.value and run_id not in elsewhere
        }
        if not changed:
            return
        with self._ledger.write("mirror") as tx:
            for run_id, record in changed.items():
                run = record.dagster_run
                if run_id not in known and queue_run(
                    tx,
                    run_id,
                    scope=scope_of(run),
                    mode=mode_of(run),
                    trigger=trigger_of(run),
                    dagster_instance=self._id,
                    queued_at=record.create_timestamp,
                    parent_run_id=run.parent_run_id,
                    worker=worker_of(run),
                    events_upto=events_upto_of(run),
                ):
                    self._note(run_id, "queued", f"Dagster says {run.status.value}")
            # Rows that are there come last, in one order: who starts a run takes its number first, too.
            for run_id in sorted(changed):
                set_dagster_status(tx, run_id, changed[run_id].dagster_run.status.value)

    def wind_up(self, run_id: str, *, cancelled: bool) -> None:
        """Called by the process that ran it, when it is over: writes what either side does not know yet."""
        record = self._instance.get_run_record_by_id(run_id)
        if record is None or not self._ledger.exists:
            return  # never created, or removed during the run: a new one in its place would hide that
        run = record.dagster_run
        with self._ledger.write("mirror") as tx:
            set_dagster_status(tx, run_id, run.status.value)
            row = find_run(tx, run_id)
        ended = row is not None and row.status.terminal
        if ended and run.is_finished:
            return
        if not run.is_finished or cancelled:
            status = row.status if row and ended else RunStatus.CANCELLED if cancelled else RunStatus.FAILED
            report_ending(self._instance, run, status, "the process that ran it was told to stop")
        self.bring_over(self._instance.get_run_records(dg.RunsFilter(run_ids=[run_id])))
        self.settle()

    def settle(self) -> None:
        """End in the ledger what has ended, and report to Dagster the endings that it does not know."""
        unfinished = {
            record.dagster_run.run_id: record
            for record in self._instance.get_run_records(dg.RunsFilter(statuses=NOT_FINISHED))
            if is_surgical(record.dagster_run)
        }
        runs = self._open_runs(unfinished)
        others = [run.run_id for run in runs if run.run_id not in unfinished]
        records = unfinished | {
            record.dagster_run.run_id: record
            for record in (self._instance.get_run_records(dg.RunsFilter(run_ids=others)) if others else ())
        }
        for run in runs:
            record = records.get(run.run_id)
            if not run.status.terminal:
                self._end(run, record)
            elif record is not None and record.dagster_run.is_finished:
                self._copy_status(run, record)
            elif self._dagster_was_not_told(run, record):
                self._report(run.run_id, run.status, "its process ended before it could tell Dagster")

    def _end(self, run: RunSummary, record: dg.RunRecord | None) -> None:
        now = self._clock()
        signs = signs_of(
            self._instance,
            run,
            record,
            liveness=self._liveness_of(run),
            dagster_made_it=self._id is not None and run.dagster_instance == self._id,
            now=now,
        )
        ending = judge(signs, now=now)
        if ending is None:
            return
        recorder = SyncRunRecorder(self._ledger, run.run_id, clock=self._clock)
        seen = None if record and record.dagster_run.is_finished else run
        why = _CANCELLATIONS.get(ending)
        if why:
            failure = None
            ended = recorder.finish_cancelled(why, if_silent_since=seen)
        else:
            failure = _lost(run)
            if ending is Ending.FAILED:
                failure = ending_of(self._instance, run.run_id, phase=run.phase)
            ended = recorder.finish_failed(failure, if_silent_since=seen)
        if not ended:
            return
        status = RunStatus.FAILED if failure else RunStatus.CANCELLED
        detail = f"{failure.code}: {failure.message}" if failure else str(why)
        self._note(run.run_id, str(status), detail)
        if record is not None and not record.dagster_run.is_finished:
            self._report(run.run_id, status, detail)

    def _copy_status(self, run: RunSummary, record: dg.RunRecord) -> None:
        """Of a run that changed in Dagster by a clock that is behind: no look at what changed lately shows it."""
        status = record.dagster_run.status.value
        if run.dagster_status != status:
            with self._ledger.write("mirror") as tx:
                set_dagster_status(tx, run.run_id, status)

    def _report(self, run_id: str, status: RunStatus, why: str) -> None:
        """Report the ledger's ending to Dagster, and Dagster's resulting status to the ledger."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return
        report_ending(self._instance, run, status, why)
        self._note(run_id, "reported", f"{status} to Dagster: {why}")
        answer = self._instance.get_run_by_id(run_id)
        if answer is not None:
            with self._ledger.write("mirror") as tx:
                set_dagster_status(tx, run_id, answer.status.value)

    def _dagster_was_not_told(self, run: RunSummary, record: dg.RunRecord | None) -> bool:
        """Ended in the ledger and in progress in Dagster: normal for a moment while the process shuts down.

        And for as long as somebody else's steps of the same run take.
        """
        liveness = self._liveness_of(run)
        if liveness is not Liveness.UNKNOWN:
            return liveness is Liveness.GONE
        if record is not None and is_shared(record.dagster_run):
            return False
        return run.finished_at is not None and self._clock() - run.finished_at > START_WITHIN

    def _open_runs(self, and_also: Collection[str]) -> list[RunSummary]:
        if not self._ledger.exists:
            return []
        with self._ledger.read("mirror") as tx:
            self._ledger_name = ledger_name(tx)
            return list_open_runs(tx, and_also=and_also, ended_after=self._clock() - FIRST_LOOK_BACK)

    def _note(self, run_id: str, what: str, detail: str) -> None:
        _LOG.info("run %s: %s, %s", run_id, what, detail)
        self.changes.append(Change(run_id=run_id, what=what, detail=detail))


def _lost(run: RunSummary) -> Failure:
    if run.heartbeat_at is None:
        message = "the process that should have run it is gone before its first stage"
    else:
        message = f"its process {run.pid} on {run.host} is gone; its last sign of life was at {run.heartbeat_at}"
    return Failure(code=FailureCode.WORKER_LOST, message=message, stage=str(run.phase))
