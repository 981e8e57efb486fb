"""Reports as the ledger might give them, with values that tests need not care about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.outcomes import (
    Counters,
    EntityReport,
    FailureReport,
    HttpStats,
    LockStats,
    ProjectRef,
    SyncResult,
)
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.report.values import (
    Backlog,
    DeadLetter,
    Entity,
    Events,
    FailureKind,
    Lag,
    LedgerSize,
    Listing,
    NotUpToDate,
    OutOfTime,
    PeriodReport,
    ProjectStates,
    Run,
    RunReport,
    Slot,
    SlowEntity,
    Spread,
    Stage,
    Table,
    TriggerCount,
)

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
RUN_ID = "0b5d2f6e-1111-4222-8333-944455556666"


def entity(project: str = "acme/rocket", iid: int = 12, url: str | None = None) -> Entity:
    return Entity(name=f"{project}#{iid}", entity_type=EntityType.ISSUE, iid=iid, url=url)


def stage(name: str = "dependents", seconds: float | None = 2.5, started_at: datetime | None = NOON) -> Stage:
    return Stage(
        stage=name,
        started_at=started_at,
        seconds=seconds,
        requests=8,
        lock_windows=2,
        lock_wait_ms=3,
        lock_held_ms=40,
    )


def run(text: str = "acme/rocket#12", **changes: Any) -> Run:
    values = {
        "run_id": RUN_ID,
        "trigger": "sensor",
        "mode": "incremental",
        "status": "succeeded_with_warnings",
        "phase": "done",
        "scope": text,
        "at": NOON,
        "seconds": 3.5,
        "entities": 1,
        "failed": 0,
        "warnings": 1,
        "requests": 9,
        "lock": LockStats(windows=9, wait_ms=4, held_ms=80, longest_held_ms=30),
        "failure_code": None,
        "failure_message": None,
        "stages": (stage(),),
    }
    return Run(**(values | changes))


def listing(*items: Any, total: int | None = None) -> Listing[Any]:
    return Listing(items=items, total=len(items) if total is None else total)


def period_report(text: str = "GitLab answered 502", project: str = "acme/rocket", **changes: Any) -> PeriodReport:
    """With something of everything. ``text``, ``project``: what others wrote, wherever they can."""
    one = entity(project, url="https://gitlab.example.com/acme/rocket/-/issues/12")
    slot = Slot(
        start=NOON,
        runs={"succeeded": 3},
        entities=4,
        documents=2,
        embedded=1,
        seconds=9,
        requests=30,
        rate_limited=2,
    )
    states = {"synced": 3, "incomplete": 1}
    values = {
        "made_at": NOON + timedelta(hours=1),
        "since": NOON,
        "until": NOON + timedelta(hours=1),
        "slot_seconds": 300,
        "slots": (slot, slot.model_copy(update={"start": NOON + timedelta(seconds=300)})),
        "runs_by_status": {"succeeded": 5, "succeeded_with_warnings": 1},
        "triggers": (TriggerCount(trigger="sensor", runs=6, entities=8),),
        "durations": Spread(measured=6, median=1.5, p95=3, longest=3.5),
        "http": HttpStats(requests=60, retries=2, rate_limited=4),
        "lock": LockStats(windows=54, wait_ms=24, held_ms=480, longest_held_ms=30),
        "stages": (stage(started_at=None),),
        "newest_runs": listing(run(text), total=6),
        "projects": listing(ProjectStates(project=project, **states)),
        "states": ProjectStates(project="", **states),
        "not_up_to_date": listing(
            NotUpToDate(
                entity=one,
                run_id=RUN_ID,
                at=NOON,
                own=False,
                code=FailureCode.SERVER_ERROR,
                stage="dependents",
                dependent=text,
                message=text,
            )
        ),
        "failures": (
            FailureKind(
                code=FailureCode.EMBEDDER_ERROR,
                advice=FailureCode.EMBEDDER_ERROR.advice,
                retryable=True,
                failures=1,
                entities=1,
                runs=1,
                runs_ended=0,
                example=one,
                example_message=text,
            ),
        ),
        "slowest": (SlowEntity(entity=one, seconds=3.5, runs=2),),
        "out_of_time": (OutOfTime(entity=one, runs=1),),
        "lags": (Lag(lag="event_to_done", spread=Spread(measured=2, median=7, p95=9, longest=9)),),
        "events": Events(pending=1, done=9, ignored=0, dead=1, oldest_pending_at=NOON),
        "dead_letters": listing(
            DeadLetter(entity=one, seq=7, kind=text, received_at=NOON, attempts=5, reason=text), total=3
        ),
        "backlog": Backlog(model=text, documents=20, without_vector=2),
        "ledger": LedgerSize(
            location=text, gitlab_url=text, file_bytes=12_345_678, tables=(Table(name="notes", rows=9, written=3),)
        ),
    }
    return PeriodReport(**(values | changes))


def empty_report() -> PeriodReport:
    """Of a ledger in which nothing has happened, without embedder and without a file."""
    nothing = ProjectStates(project="")
    return period_report(
        runs_by_status={},
        slots=(),
        triggers=(),
        durations=None,
        http=HttpStats(),
        lock=LockStats(),
        stages=(),
        newest_runs=listing(),
        projects=listing(),
        states=nothing,
        not_up_to_date=listing(),
        failures=(),
        slowest=(),
        out_of_time=(),
        lags=(),
        events=Events(pending=0, done=0, ignored=0, dead=0, oldest_pending_at=None),
        dead_letters=listing(),
        backlog=None,
        ledger=LedgerSize(location="there", gitlab_url=None, file_bytes=None, tables=()),
    )


def outcome(iid: int, *, failed: bool = False, text: str = "GitLab answered 502") -> EntityReport:
    failure = FailureReport(
        code=FailureCode.SERVER_ERROR,
        message=text,
        hint="Retry.",
        stage="dependents",
        dependent=text,
        retryable=True,
    )
    return EntityReport(
        entity=f"acme/rocket#{iid}",
        entity_type=EntityType.ISSUE,
        iid=iid,
        fetched=True,
        ingested=True,
        stale_skipped=False,
        tombstoned=False,
        unchanged=False,
        settled=True,
        moved_to_id=None,
        dependent_failures=(failure,) if failed else (),
        dependents_stale_skipped=(),
        failure=None,
        warnings=(),
        regenerated_document_ids=(),
        embedded_document_ids=(),
    )


def run_report(*outcomes: EntityReport, text: str = "acme/rocket#12", **changes: Any) -> RunReport:
    one = run(text, **changes)
    result = SyncResult(
        run_id=one.run_id,
        parent_run_id=None,
        mode=one.mode,
        trigger=one.trigger,
        completion_status=one.status,
        phase=one.phase,
        scope=one.scope,
        project=ProjectRef(id=7, path="acme/rocket"),
        started_at=one.at,
        finished_at=None,
        duration_ms=None,
        warnings_count=one.warnings,
        counters=Counters(requested=len(outcomes)),
        lock=one.lock,
        http=HttpStats(requests=9),
        entity_outcomes=outcomes,
        entity_failures=(),
        error=None,
    )
    return RunReport(made_at=NOON, run=one, result=result, gitlab_url="https://gitlab.example.com")
