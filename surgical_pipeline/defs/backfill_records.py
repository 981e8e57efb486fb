"""Backfills as Dagster keeps them: which there are, what each is for, and which runs are whose."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import dagster as dg

from surgical_pipeline.defs.dagster_internals import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from surgical_pipeline.defs.dagster_runs import BACKFILL_JOB, BACKFILL_TAG, scope_of, worker_in
from surgical_pipeline.defs.sync.config import GRAPH
from surgical_pipeline.domain.backfill import BackfillError
from surgical_pipeline.domain.backfill_report import BackfillState
from surgical_pipeline.domain.reconciliation import Liveness
from surgical_pipeline.domain.scope import Scope, ScopeError
from surgical_pipeline.ledger.backfills import RunOf
from surgical_pipeline.ledger.process import ProcessIdentity

PARENT_TAG, ROOT_TAG = "dagster/parent_backfill_id", "dagster/root_backfill_id"
"""Which backfill this one resumes, and which was the first: as Dagster's own re-executions."""
DAEMON = "BACKFILL"
"""The part of Dagster's daemon that makes the runs of backfills, and cancels them."""
DAEMON_SILENT_SECONDS = 120.0
"""It gives a sign of life every 30 s, on a busy machine later."""


_STATES = {
    BulkActionStatus.REQUESTED: BackfillState.RUNNING,
    BulkActionStatus.CANCELING: BackfillState.CANCELLING,
    BulkActionStatus.FAILING: BackfillState.FAILING,
    BulkActionStatus.CANCELED: BackfillState.CANCELLED,
    BulkActionStatus.FAILED: BackfillState.FAILED,
    BulkActionStatus.COMPLETED: BackfillState.COMPLETED,
    BulkActionStatus.COMPLETED_SUCCESS: BackfillState.COMPLETED,
    BulkActionStatus.COMPLETED_FAILED: BackfillState.INCOMPLETE,
}


@dataclass(frozen=True)
class Backfill:
    """One backfill, as it was when it was read."""

    record: PartitionBackfill

    @property
    def id(self) -> str:
        return self.record.backfill_id

    @property
    def keys(self) -> Sequence[str]:
        return self.record.partition_names or ()

    @cached_property
    def scopes(self) -> tuple[Scope, ...]:
        """Of its chunks; one that somebody wrote and that is no scope is left out: its run fails."""
        return tuple(_readable(self.keys))

    @property
    def entities(self) -> int:
        return sum(map(len, self.scopes))

    @property
    def worker(self) -> ProcessIdentity | None:
        """The process that runs it itself; None if Dagster's daemon does."""
        return worker_in(self.record.tags)

    @property
    def state(self) -> BackfillState:
        state = _STATES[self.record.status]
        ended = self.record.backfill_end_timestamp is not None
        if self.worker is not None and not ended and self.worker.liveness is not Liveness.GONE:
            return BackfillState.CANCELLING if state is BackfillState.CANCELLING else BackfillState.RUNNING
        return state

    @property
    def made_at(self) -> datetime:
        return datetime.fromtimestamp(self.record.backfill_timestamp, tz=UTC)

    @property
    def ended_at(self) -> datetime | None:
        ended = self.record.backfill_end_timestamp
        return None if ended is None else datetime.fromtimestamp(ended, tz=UTC)

    @property
    def resumes(self) -> str | None:
        return self.record.tags.get(PARENT_TAG)

    @property
    def only_changed(self) -> bool:
        found: object = self.record.run_config
        for name in ("ops", GRAPH, "config", "only_changed"):
            found = found.get(name) if isinstance(found, dict) else None
        return found is True


def find_backfill(instance: dg.DagsterInstance, prefix: str) -> Backfill:
    """The backfill of that id, or the only one whose id begins so.

    Raises:
        BackfillError: there is none, or several.
    """
    exact = instance.get_backfill(prefix)
    if exact is not None and exact.job_name == BACKFILL_JOB:
        return Backfill(exact)
    found = [one for one in list_backfills(instance) if prefix and one.id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        raise BackfillError(f"several backfills begin with {prefix!r}: {', '.join(one.id for one in found[:5])}")
    raise BackfillError(f"no backfill begins with {prefix!r}: see `surgical-pipeline backfill list`")


def list_backfills(instance: dg.DagsterInstance, *, limit: int | None = None) -> list[Backfill]:
    """Those of our job, wherever they were launched, the newest first."""
    records = instance.get_backfills(filters=BulkActionsFilter(job_name=BACKFILL_JOB), limit=limit)
    return [Backfill(record) for record in records]


def resumed_by(instance: dg.DagsterInstance, backfill: Backfill) -> list[Backfill]:
    """Those that resume it, and those that resume these, in the order in which they were launched.

    That is the order in which Dagster stored them: their times are of several machines.
    """
    root = backfill.record.tags.get(ROOT_TAG, backfill.id)
    newest_first = instance.get_backfills(filters=BulkActionsFilter(tags={ROOT_TAG: root}))
    family, found = {backfill.id}, []
    for one in map(Backfill, reversed(newest_first)):
        if one.resumes in family:
            family.add(one.id)
            found.append(one)
    return found


def runs_of(instance: dg.DagsterInstance, backfills: Iterable[Backfill]) -> list[dg.DagsterRun]:
    """The runs of these backfills, in the order in which they were made."""
    wanted = dg.RunsFilter(tags={BACKFILL_TAG: [one.id for one in backfills]})
    return list(instance.get_runs(wanted, ascending=True))


def in_ledger(runs: Iterable[dg.DagsterRun]) -> list[RunOf]:
    """These runs as the ledger's questions name them; those whose key is no scope have no entities."""
    scopes = ((run.run_id, scope_of(run)) for run in runs)
    return [RunOf(run_id, scope.project) for run_id, scope in scopes if isinstance(scope, Scope)]


def daemon_seen(instance: dg.DagsterInstance) -> datetime | None:
    """When Dagster's daemon last gave a sign of life; None: never."""
    heartbeat = instance.get_daemon_heartbeats().get(DAEMON)
    return None if heartbeat is None else datetime.fromtimestamp(heartbeat.timestamp, tz=UTC)


def daemon_runs(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Whether a daemon seems to be there to make and end the runs of backfills."""
    seen = daemon_seen(instance)
    return seen is not None and (now - seen).total_seconds() < DAEMON_SILENT_SECONDS


def _readable(keys: Iterable[str]) -> Iterator[Scope]:
    for key in keys:
        try:
            yield Scope.parse(key)
        except ScopeError:
            continue
