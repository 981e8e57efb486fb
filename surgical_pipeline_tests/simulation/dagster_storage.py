"""What Dagster keeps, and just what it promises of that: runs, their events and keys, each sensor's last tick."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

from surgical_pipeline.defs.backfill_records import DAEMON
from surgical_pipeline.defs.dagster_internals import BulkActionsFilter, PartitionBackfill
from surgical_pipeline.defs.dagster_runs import (
    BACKFILL_JOB,
    BACKFILL_TAG,
    PARTITION_TAG,
    RUN_KEY_TAG,
    SENSOR_TAG,
    SYNC_JOB,
)
from surgical_pipeline_tests.simulation.processes import Process

INSTANCE = "simulated"
REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("simulated"), "repository")
_ORIGINS = {name: REPOSITORY.get_job_origin(name) for name in (SYNC_JOB, BACKFILL_JOB)}


@dataclass
class StoredRun:
    run: dg.DagsterRun
    number: int
    created_at: datetime
    updated_at: datetime
    began: float
    """When the evaluation began that asked for it, in seconds of the simulation; without one, when it was made."""
    made: float
    started_at: datetime | None = None
    launched_at: float | None = None
    """When the daemon launched it, as Dagster's statistics tell it."""
    log: list[Any] = field(default_factory=list)
    goes_on: bool = False
    """It re-executes its parent from where that failed."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """What each op handed on, as Dagster's IO manager keeps it."""

    @property
    def finished(self) -> bool:
        return self.run.is_finished

    def as_record(self) -> dg.RunRecord:
        started = self.started_at.timestamp() if self.started_at else None
        return dg.RunRecord(self.number, self.run, self.created_at, self.updated_at, start_time=started)


@dataclass
class StoredTick:
    """A sensor's last evaluation that was stored: cursor and requests together, with the ids of their runs."""

    cursor: str | None = None
    began: float = 0.0
    requests: list[tuple[str, dg.RunRequest]] = field(default_factory=list)
    """Those that were not submitted yet."""


class DagsterStorage:
    """``new_id`` gives ids of runs. ``on_change`` is called with each run whose status changed.

    ``on_backfill`` is called with each backfill before it is stored.
    """

    def __init__(
        self, new_id: Callable[[], str], clock: Callable[[], datetime], time: Callable[[], float]
    ) -> None:
        self._time = time
        self.new_id = new_id
        self.clock = clock
        self.runs: dict[str, StoredRun] = {}
        self.run_keys: set[tuple[str, str]] = set()
        self.ticks: dict[str, StoredTick] = {}
        self.backfills: dict[str, PartitionBackfill] = {}
        self.partitions: dict[str, None] = {}
        self.backfill_daemon_seen: datetime | None = None
        self.on_change: list[Callable[[StoredRun], None]] = []
        self.on_backfill: list[Callable[[PartitionBackfill], None]] = []

    def unfinished(self) -> list[StoredRun]:
        return [one for one in self.runs.values() if not one.finished]

    def runs_of(self, backfill_id: str) -> list[StoredRun]:
        """Those of a backfill, in the order in which they were made."""
        return [one for one in self.runs.values() if one.run.tags.get(BACKFILL_TAG) == backfill_id]

    def create(
        self,
        run_id: str,
        request: dg.RunRequest,
        *,
        sensor: str | None,
        began: float | None = None,
        parent: dg.DagsterRun | None = None,
        goes_on: bool = False,
    ) -> StoredRun:
        """A run that waits in the queue; its key is remembered for ever. One with a partition is a backfill's."""
        tags = dict(request.tags)
        if sensor is not None:
            tags |= {SENSOR_TAG: sensor, RUN_KEY_TAG: str(request.run_key)}
            self.run_keys.add((sensor, str(request.run_key)))
        job = BACKFILL_JOB if PARTITION_TAG in tags else SYNC_JOB
        run = dg.DagsterRun(
            job_name=job,
            run_id=run_id,
            run_config=request.run_config,
            status=DagsterRunStatus.QUEUED,
            tags=tags,
            parent_run_id=parent.run_id if parent else None,
            root_run_id=(parent.root_run_id or parent.run_id) if parent else None,
            remote_job_origin=_ORIGINS[job],
        )
        now, made = self.clock(), self._time()
        stored = StoredRun(
            run, len(self.runs) + 1, now, now, made if began is None else began, made, goes_on=goes_on
        )
        self.runs[run_id] = stored
        self._changed(stored)
        return stored

    def set_status(self, run_id: str, status: DagsterRunStatus) -> bool:
        """False: it has ended already, which is final."""
        stored = self.runs[run_id]
        if stored.finished or stored.run.status is status:
            return False
        stored.run = stored.run.with_status(status)
        stored.updated_at = self.clock()
        if status is DagsterRunStatus.STARTING:
            stored.launched_at = stored.updated_at.timestamp()
        if status is DagsterRunStatus.STARTED:
            stored.started_at = stored.updated_at
        self._changed(stored)
        return True

    def log(self, run_id: str, kind: DagsterEventType, *, message: str = "", step: str | None = None) -> None:
        event = SimpleNamespace(
            message=message, is_step_failure=False, step_failure_data=None, job_failure_data=None
        )
        entry = SimpleNamespace(kind=kind, step_key=step, get_dagster_event=lambda: event)
        self.runs[run_id].log.append(entry)

    def fail(self, run_id: str, message: str) -> None:
        if self.set_status(run_id, DagsterRunStatus.FAILURE):
            self.log(run_id, DagsterEventType.RUN_FAILURE, message=message)

    def add_backfill(self, backfill: PartitionBackfill) -> None:
        for call in self.on_backfill:
            call(backfill)
        self.backfills[backfill.backfill_id] = backfill

    def _changed(self, stored: StoredRun) -> None:
        for call in self.on_change:
            call(stored)


class DagsterConnection:
    """Those methods of a `dg.DagsterInstance` that we use, as one process calls them."""

    def __init__(self, storage: DagsterStorage, process: Process) -> None:
        self._storage = storage
        self._process = process

    @property
    def instance(self) -> dg.DagsterInstance:
        """This, for what takes an instance."""
        return cast("dg.DagsterInstance", self)

    @property
    def run_storage(self) -> object:
        """None of Dagster's own: `SURGICAL_DAGSTER_INSTANCE` names the simulated one."""
        return None

    def get_run_records(
        self,
        filters: dg.RunsFilter | None = None,
        limit: int | None = None,
        order_by: str | None = None,
        ascending: bool = False,  # noqa: FBT002  Dagster's own signature
    ) -> list[dg.RunRecord]:
        self._process.must_live()
        found = [one for one in self._storage.runs.values() if filters is None or _matches(one, filters)]
        if order_by == "update_timestamp":
            found.sort(key=lambda one: (one.updated_at, one.number), reverse=not ascending)
        else:
            found.sort(key=lambda one: one.number, reverse=not ascending)
        return [one.as_record() for one in found[:limit]]

    def get_run_record_by_id(self, run_id: str) -> dg.RunRecord | None:
        self._process.must_live()
        found = self._storage.runs.get(run_id)
        return found.as_record() if found else None

    def get_run_by_id(self, run_id: str) -> dg.DagsterRun | None:
        self._process.must_live()
        found = self._storage.runs.get(run_id)
        return found.run if found else None

    def get_run_stats(self, run_id: str) -> object:
        self._process.must_live()
        return SimpleNamespace(launch_time=self._storage.runs[run_id].launched_at)

    def all_logs(self, run_id: str, of_type: Collection[DagsterEventType]) -> Sequence[Any]:
        self._process.must_live()
        return [entry for entry in self._storage.runs[run_id].log if entry.kind in of_type]

    def add_run_tags(self, run_id: str, new_tags: Mapping[str, str]) -> None:
        self._process.point(f"tags run {run_id[:8]}")
        stored = self._storage.runs[run_id]
        stored.run = stored.run.with_tags({**stored.run.tags, **new_tags})
        stored.updated_at = self._storage.clock()

    def get_runs(self, filters: dg.RunsFilter | None = None, *, ascending: bool = False) -> list[dg.DagsterRun]:
        return [one.dagster_run for one in self.get_run_records(filters, ascending=ascending)]

    def add_dynamic_partitions(self, _name: str, keys: Sequence[str]) -> None:
        self._process.point(f"registers {len(keys)} partitions")
        self._storage.partitions |= dict.fromkeys(keys)

    def get_backfill(self, backfill_id: str) -> PartitionBackfill | None:
        self._process.must_live()
        return self._storage.backfills.get(backfill_id)

    def get_backfills(
        self, filters: BulkActionsFilter | None = None, limit: int | None = None
    ) -> list[PartitionBackfill]:
        self._process.must_live()
        tags = dict((filters and filters.tags) or {})
        newest_first = reversed(self._storage.backfills.values())
        found = [one for one in newest_first if tags.items() <= one.tags.items()]
        return found[:limit]

    def add_backfill(self, backfill: PartitionBackfill) -> None:
        self._process.point(f"launches a backfill of {backfill.partition_names}")
        self._storage.add_backfill(backfill)
        self._process.point("launched it")

    def update_backfill(self, backfill: PartitionBackfill) -> None:
        self._process.point(f"makes a backfill {backfill.status.value}")
        self._storage.backfills[backfill.backfill_id] = backfill

    def get_daemon_heartbeats(self) -> Mapping[str, Any]:
        self._process.must_live()
        seen = self._storage.backfill_daemon_seen
        return {} if seen is None else {DAEMON: SimpleNamespace(timestamp=seen.timestamp())}

    def report_run_canceling(self, run: dg.DagsterRun, _message: str | None = None) -> None:
        self._report(run.run_id, DagsterRunStatus.CANCELING)

    def report_run_canceled(self, run: dg.DagsterRun, _message: str | None = None) -> None:
        self._report(run.run_id, DagsterRunStatus.CANCELED)

    def report_run_failed(self, run: dg.DagsterRun, message: str = "") -> None:
        self._process.point(f"reports run {run.run_id[:8]} failed")
        self._storage.fail(run.run_id, message)

    def report_dagster_event(self, event: dg.DagsterEvent, run_id: str) -> None:
        if event.event_type is not DagsterEventType.RUN_SUCCESS:
            raise NotImplementedError(event.event_type)
        self._report(run_id, DagsterRunStatus.SUCCESS)

    def _report(self, run_id: str, status: DagsterRunStatus) -> None:
        self._process.point(f"reports run {run_id[:8]} {status.value}")
        self._storage.set_status(run_id, status)


def _matches(one: StoredRun, wanted: dg.RunsFilter) -> bool:
    return (
        (wanted.run_ids is None or one.run.run_id in wanted.run_ids)
        and (not wanted.statuses or one.run.status in wanted.statuses)
        and all(_has(one.run.tags.get(name), values) for name, values in wanted.tags.items())
        and (wanted.updated_after is None or one.updated_at > wanted.updated_after)
        and (wanted.created_after is None or one.created_at > wanted.created_after)
    )


def _has(value: str | None, wanted: str | Iterable[str]) -> bool:
    return value == wanted if isinstance(wanted, str) else value in set(wanted)
