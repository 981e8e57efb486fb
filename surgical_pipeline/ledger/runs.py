"""Reading runs, and the two writes of ``sync_runs`` from outside the run: queued, and Dagster's status."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase, RunMode, RunStatus, Trigger
from surgical_pipeline.domain.outcomes import (
    Counters,
    EntityFailureReport,
    EntityOutcome,
    EntityReport,
    FailureReport,
    HttpStats,
    LockStats,
    ProjectRef,
    RunError,
    SyncResult,
    count_warnings,
    failures_of,
)
from surgical_pipeline.domain.reconciliation import Liveness
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.errors import AmbiguousRunError
from surgical_pipeline.ledger.outcomes import insert_pending, load_outcomes, with_run_failure
from surgical_pipeline.ledger.process import ProcessIdentity
from surgical_pipeline.ledger.protocol import Transaction

_USAGE_COLUMNS = (
    "warnings_count",
    "lock_windows",
    "lock_wait_ms",
    "lock_held_ms",
    "longest_lock_held_ms",
    "http_requests",
    "http_retries",
    "http_rate_limited",
)
_RUN_ID_SHOWN = 8


class RunSummary(BaseModel):
    """A row of ``sync_runs`` without its figures. ``host`` and ``pid``: the process that worked on it.

    ``events_upto``: the number up to which it took events of its scope; None if none asked for it.
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    parent_run_id: str | None
    mode: RunMode
    trigger: Trigger
    status: RunStatus
    phase: Phase
    dagster_instance: str | None
    dagster_status: str | None
    scope: str
    project_id: int | None
    project_path: str
    queued_at: AwareDatetime | None
    started_at: AwareDatetime | None
    heartbeat_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    cancelled_at: AwareDatetime | None
    requested: int
    failed: int
    warnings_count: int
    failure_code: FailureCode | None
    failure_message: str | None
    host: str | None
    pid: int | None
    process: str | None
    events_upto: int | None = None

    @property
    def liveness(self) -> Liveness:
        """Whether the process that works on the run is still there, as seen from here."""
        if self.host is None or self.pid is None:
            return Liveness.UNKNOWN
        return ProcessIdentity(self.host, self.pid, self.process).liveness


def queue_run(  # noqa: PLR0913  a column each
    tx: Transaction,
    run_id: str,
    *,
    scope: Scope | str,
    mode: RunMode,
    trigger: Trigger,
    queued_at: datetime,
    dagster_instance: str | None = None,
    parent_run_id: str | None = None,
    worker: ProcessIdentity | None = None,
    events_upto: int | None = None,
) -> bool:
    """Record a run that Dagster accepted, with a pending outcome for each entity; False if it is known already.

    ``dagster_instance``: whose run it is. ``worker``: the process that will run it, if that is already
    known. A ``scope`` given as text cannot be parsed, such as a mistyped partition key: it asks for nothing.
    ``events_upto``: as in ``SyncRunRecorder.start_surgical``.
    """
    readable = scope if isinstance(scope, Scope) else None
    inserted = tx.execute(
        "queue_run",
        run_id=run_id,
        parent_run_id=parent_run_id,
        mode=str(mode),
        trigger=str(trigger),
        scope=str(scope),
        project_path=readable.project if readable else "",
        dagster_instance=dagster_instance,
        queued_at=queued_at,
        requested=len(readable) if readable else 0,
        host=worker.host if worker else None,
        pid=worker.pid if worker else None,
        process=worker.mark if worker else None,
        events_upto=events_upto,
    )
    if inserted and readable:
        insert_pending(tx, run_id, readable)
    return bool(inserted)


def set_dagster_status(tx: Transaction, run_id: str, dagster_status: str) -> bool:
    """Record Dagster's status, also for a run that has ended; False if nothing changed or the run is unknown."""
    return bool(tx.execute("set_dagster_status", run_id=run_id, dagster_status=dagster_status))


def ledger_name(tx: Transaction) -> str:
    """What distinguishes this ledger from any other: when it was made. A backup keeps its original's name."""
    (made_at,) = tx.column("ledger_made_at")
    return str(made_at.astimezone(UTC).isoformat())


def mark_of(tx: Transaction) -> str:
    """Which ledger this is and how far it has come, as a short text without blanks: its name, a number and a run.

    The run is one that has ended: an older copy may get a run of the same number and id again, but then the mirror
    ends it at another time.
    """
    newest = tx.execute("newest_ended_run")
    number, run = (newest[0][0], _shown(*newest[0][1:])) if newest else (0, "")
    return f"{ledger_name(tx)}/{number}/{run}"


def went_back(tx: Transaction, mark: str) -> bool:
    """Whether this ledger is not the one of that mark, or an older copy of it.

    A run that is missing below the newest was pruned: numbers have no other gaps.

    Raises:
        ValueError: the text is no mark.
    """
    name, number, run = mark.split("/")
    if name != ledger_name(tx):
        return True
    if not int(number):
        return False
    found = tx.execute("run_with_number", number=int(number))
    if found:
        return _shown(*found[0]) != run
    newest = tx.execute("newest_ended_run")
    return not newest or newest[0][0] < int(number)


def _shown(run_id: str, finished_at: datetime | None) -> str:
    return f"{run_id[:_RUN_ID_SHOWN]}@{finished_at.timestamp():.3f}" if finished_at else run_id[:_RUN_ID_SHOWN]


def list_runs(
    tx: Transaction, *, limit: int, status: RunStatus | None = None, of_events: bool = False
) -> list[RunSummary]:
    """Up to ``limit`` runs, the newest first. ``of_events``: only those that were asked for because of events."""
    rows = tx.rows("list_runs", limit=limit, status=None if status is None else str(status), of_events=of_events)
    return [RunSummary.model_validate(row) for row in rows]


def list_open_runs(
    tx: Transaction, *, and_also: Collection[str] = (), ended_after: datetime | None = None
) -> list[RunSummary]:
    """Every run that is queued or running, and those of ``and_also`` that the ledger knows, ended or not.

    ``ended_after``: and those that ended since, if the ledger does not know yet that they have in Dagster, too.
    """
    rows = tx.rows("list_open_and_named_runs", run_ids=list(and_also), ended_after=ended_after)
    return [RunSummary.model_validate(row) for row in rows]


def find_run(tx: Transaction, prefix: str) -> RunSummary | None:
    """The run with that id, or the only one whose id begins so; None if there is none.

    Raises:
        AmbiguousRunError: several ids begin so.
    """
    if not prefix:
        return None
    found = [RunSummary.model_validate(row) for row in tx.rows("find_runs_by_prefix", prefix=prefix)]
    exact = tx.rows("load_run", run_id=prefix)
    if exact:
        return RunSummary.model_validate(exact[0])
    if len(found) > 1:
        raise AmbiguousRunError(prefix, tuple(run.run_id for run in found))
    return found[0] if found else None


def load_result(tx: Transaction, run_id: str, *, ended_by: Failure | None = None) -> SyncResult | None:
    """The whole document about a run, running or ended, from the ledger alone; None if there is no such run.

    ``ended_by``: what ended a run that could not record it. The document then has what the run wrote until then,
    and that it ended. An ending in the ledger takes precedence.
    """
    rows = tx.rows("load_run", run_id=run_id)
    if not rows:
        return None
    return _result(rows[0], load_outcomes(tx, run_id), ended_by=ended_by)


def result_without_row(
    run_id: str, scope: Scope, *, trigger: Trigger, ended_by: Failure, parent_run_id: str | None = None
) -> SyncResult:
    """The document about a run that ended before the ledger knew of it, or whose row cannot be read."""
    run = {
        "run_id": run_id,
        "parent_run_id": parent_run_id,
        "mode": RunMode.SURGICAL,
        "trigger": trigger,
        "status": RunStatus.QUEUED,
        "phase": Phase.QUEUED,
        "scope": str(scope),
        "project_path": scope.project,
        **dict.fromkeys(("project_id", "started_at", "finished_at")),
        **dict.fromkeys(_USAGE_COLUMNS, 0),
        **Counters(requested=len(scope)).model_dump(),
    }
    pending = [EntityOutcome(entity_type=key.entity_type, iid=key.iid) for key in tuple(scope.keys())]
    return _result(run, pending, ended_by=ended_by)


def counters_of_row(run: Mapping[str, Any]) -> Counters:
    """The counters in a row of ``sync_runs``."""
    return Counters(**{name: run[name] for name in Counters.model_fields})


def _result(run: Mapping[str, Any], outcomes: Sequence[EntityOutcome], *, ended_by: Failure | None) -> SyncResult:
    if ended_by is not None and not RunStatus(run["status"]).terminal:
        outcomes = with_run_failure(outcomes, ended_by, phase=Phase(run["phase"]))
        run = {**run, **_ending(outcomes, ended_by)}
    path = run["project_path"]
    return SyncResult(
        run_id=run["run_id"],
        parent_run_id=run["parent_run_id"],
        mode=run["mode"],
        trigger=run["trigger"],
        completion_status=run["status"],
        phase=run["phase"],
        scope=run["scope"],
        project=ProjectRef(id=run["project_id"], path=path),
        started_at=run["started_at"],
        finished_at=run["finished_at"],
        duration_ms=_duration_ms(run["started_at"], run["finished_at"]),
        warnings_count=run["warnings_count"],
        counters=counters_of_row(run),
        lock=LockStats(
            windows=run["lock_windows"],
            wait_ms=run["lock_wait_ms"],
            held_ms=run["lock_held_ms"],
            longest_held_ms=run["longest_lock_held_ms"],
        ),
        http=HttpStats(
            requests=run["http_requests"], retries=run["http_retries"], rate_limited=run["http_rate_limited"]
        ),
        entity_outcomes=tuple(EntityReport.of(outcome, path) for outcome in outcomes),
        entity_failures=tuple(
            EntityFailureReport(entity=f"{path}{failed.key}", **FailureReport.of(failed.failure).model_dump())
            for outcome in outcomes
            for failed in failures_of(outcome)
        ),
        error=_run_error(run),
    )


def _ending(outcomes: Sequence[EntityOutcome], failure: Failure) -> dict[str, Any]:
    """What `finish_run` would have written."""
    cancelled = failure.code is FailureCode.CANCELLED
    return {
        "status": RunStatus.CANCELLED if cancelled else RunStatus.FAILED,
        "failed": sum(outcome.failure is not None for outcome in outcomes),
        "warnings_count": count_warnings(outcomes),
        "failure_code": failure.code,
        "failure_message": failure.message,
    }


def _duration_ms(started_at: datetime | None, finished_at: datetime | None) -> int | None:
    if started_at is None or finished_at is None:
        return None
    return round((finished_at - started_at).total_seconds() * 1000)


def _run_error(run: Mapping[str, Any]) -> RunError | None:
    if run["failure_code"] is None:
        return None
    code = FailureCode[run["failure_code"]]
    return RunError(code=code, message=run["failure_message"], hint=code.advice)
