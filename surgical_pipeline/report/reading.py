"""From the ledger to the values of a report, in one read window; nothing is rendered while it is open."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from surgical_pipeline.domain.failures import FailureCode
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.domain.web_address import address_of
from surgical_pipeline.ledger.backlog import count_backlog
from surgical_pipeline.ledger.events import EventState, count_events, list_events
from surgical_pipeline.ledger.protocol import Transaction
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.report.period import Period
from surgical_pipeline.report.rows import (
    cut,
    http_of,
    in_order,
    lock_of,
    run_of,
    spread_of,
    stage_of_all,
    sum_of,
)
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
    Table,
    TriggerCount,
)

MAX_RUNS, MAX_PROJECTS, MAX_ENTITIES, MAX_LETTERS, MAX_SLOW = 15, 50, 100, 50, 10
"""How many rows a list has at most; each says how many it leaves out."""


class LedgerFacts:
    """What the ledger's tables do not know of themselves.

    ``gitlab_url``: where GitLab's pages are; None: nothing is linked. ``model``: of the configured embedder; None:
    not known, and the backlog is left out. ``file_bytes``: of the ledger's file; None: not known.
    """

    def __init__(
        self, location: str, *, gitlab_url: str | None, model: str | None, file_bytes: int | None
    ) -> None:
        self.location = location
        self.gitlab_url = gitlab_url
        self.model = model
        self.file_bytes = file_bytes


def read_period(tx: Transaction, period: Period, *, facts: LedgerFacts, made_at: datetime) -> PeriodReport:
    """All runs that started in the period, or were queued in it and have not started."""
    return _Reader(tx, period, facts).report(made_at)


def read_run(tx: Transaction, run_id: str, *, gitlab_url: str | None, made_at: datetime) -> RunReport | None:
    """One run; None if the ledger has none of that id."""
    rows, result = tx.rows("load_run", run_id=run_id), load_result(tx, run_id)
    if not rows or result is None:
        return None
    stages = tx.rows("report_stages_of_runs", run_ids=[run_id])
    return RunReport(made_at=made_at, run=run_of(rows[0], stages), result=result, gitlab_url=gitlab_url)


class _Reader:
    def __init__(self, tx: Transaction, period: Period, facts: LedgerFacts) -> None:
        self._tx = tx
        self._period = period
        self._facts = facts

    def report(self, made_at: datetime) -> PeriodReport:
        by_time = self._rows("report_runs_by_time", width=self._period.slot_seconds)
        projects = self._projects()
        states = sum_of(projects)
        by_status = Counter[str]()
        for row in by_time:
            by_status[row["status"]] += row["runs"]
        return PeriodReport(
            made_at=made_at,
            since=self._period.since,
            until=self._period.until,
            slot_seconds=self._period.slot_seconds,
            slots=self._slots(by_time),
            runs_by_status=dict(by_status),
            triggers=tuple(TriggerCount(**row) for row in self._rows("report_triggers")),
            durations=spread_of(self._rows("report_durations")[0]),
            http=http_of(by_time),
            lock=lock_of(by_time),
            stages=tuple(stage_of_all(row) for row in in_order(self._rows("report_stages"))),
            newest_runs=Listing(items=self._newest_runs(), total=by_status.total()),
            projects=Listing(items=tuple(projects[:MAX_PROJECTS]), total=len(projects)),
            states=states,
            not_up_to_date=self._not_up_to_date(states.failed + states.incomplete),
            failures=self._failures(),
            slowest=self._slowest(),
            out_of_time=self._out_of_time(),
            lags=tuple(
                Lag(lag=row["lag"], spread=spread)
                for row in self._rows("report_lags")
                if (spread := spread_of(row)) is not None
            ),
            events=self._events(),
            dead_letters=self._dead_letters(),
            backlog=self._backlog(),
            ledger=self._ledger(),
        )

    def _rows(self, query_name: str, **params: Any) -> list[dict[str, Any]]:
        return self._tx.rows(query_name, since=self._period.since, until=self._period.until, **params)

    def _slots(self, by_time: Sequence[Mapping[str, Any]]) -> tuple[Slot, ...]:
        """Every slot of the period, also those without a run."""
        found: dict[int, list[Mapping[str, Any]]] = {slot: [] for slot in self._period.slots()}
        for row in by_time:
            found.setdefault(row["slot"], []).append(row)
        sums = ("entities", "documents", "embedded", "seconds", "requests", "rate_limited")
        return tuple(
            Slot(
                start=self._period.start_of(slot),
                runs={row["status"]: row["runs"] for row in rows},
                **{name: sum(row[name] for row in rows) for name in sums},
            )
            for slot, rows in sorted(found.items())
        )

    def _newest_runs(self) -> tuple[Run, ...]:
        runs = self._rows("report_newest_runs", limit=MAX_RUNS)
        stages = self._tx.rows("report_stages_of_runs", run_ids=[run["run_id"] for run in runs]) if runs else []
        return tuple(run_of(run, [one for one in stages if one["run_id"] == run["run_id"]]) for run in runs)

    def _projects(self) -> list[ProjectStates]:
        """Those with the most trouble first, then those with the most entities."""
        found: dict[str, dict[str, Any]] = {}
        for row in self._rows("report_states"):
            found.setdefault(row["project_key"], {"project": cut(row["project"])})[row["state"]] = row["entities"]
        projects = [ProjectStates(**values) for values in found.values()]
        return sorted(projects, key=lambda one: (-one.failed - one.incomplete, -one.entities, one.project))

    def _not_up_to_date(self, total: int) -> Listing[NotUpToDate]:
        rows = self._rows("report_not_up_to_date", limit=MAX_ENTITIES) if total else []
        items = tuple(
            NotUpToDate(
                entity=self._entity(row),
                run_id=row["run_id"],
                at=row["asked_at"],
                own=row["own"],
                code=FailureCode[row["code"]],
                stage=row["stage"],
                dependent=row["dependent"],
                message=cut(row["message"]),
            )
            for row in rows
        )
        return Listing(items=items, total=total)

    def _failures(self) -> tuple[FailureKind, ...]:
        """Of entities and of whole runs, the most frequent code first."""
        ended = {row["code"]: row["runs"] for row in self._rows("report_endings")}
        counts = {row["code"]: row for row in self._rows("report_failures")}
        examples = {row["code"]: row for row in self._rows("report_failure_examples")}
        kinds = []
        for name in counts.keys() | ended.keys():
            code, count, example = FailureCode[name], counts.get(name), examples.get(name)
            kinds.append(
                FailureKind(
                    code=code,
                    advice=code.advice,
                    retryable=code.retryable,
                    failures=count["failures"] if count else 0,
                    entities=count["entities"] if count else 0,
                    runs=count["runs"] if count else 0,
                    runs_ended=ended.get(name, 0),
                    example=self._entity(example) if example else None,
                    example_message=cut(example["message"]) if example else None,
                )
            )
        return tuple(sorted(kinds, key=lambda one: (-one.failures, -one.runs_ended, one.code)))

    def _slowest(self) -> tuple[SlowEntity, ...]:
        rows = self._rows("report_slowest", limit=MAX_SLOW)
        return tuple(
            SlowEntity(entity=self._entity(row), seconds=row["seconds"], runs=row["runs"]) for row in rows
        )

    def _out_of_time(self) -> tuple[OutOfTime, ...]:
        rows = self._rows("report_timeouts", limit=MAX_SLOW)
        return tuple(OutOfTime(entity=self._entity(row), runs=row["runs"]) for row in rows)

    def _events(self) -> Events:
        counts = count_events(self._tx)
        oldest = self._tx.column("report_oldest_pending_event")[0]
        return Events(**{str(state): counts[state] for state in EventState}, oldest_pending_at=oldest)

    def _dead_letters(self) -> Listing[DeadLetter]:
        letters = list_events(self._tx, limit=MAX_LETTERS, state=EventState.DEAD)
        items = tuple(
            DeadLetter(
                entity=self._entity(letter.model_dump()),
                seq=letter.seq,
                kind=letter.kind,
                received_at=letter.received_at,
                attempts=letter.attempts,
                reason=cut(letter.reason) if letter.reason else None,
            )
            for letter in letters
        )
        return Listing(items=items, total=count_events(self._tx)[EventState.DEAD])

    def _backlog(self) -> Backlog | None:
        if self._facts.model is None:
            return None
        return Backlog(
            model=cut(self._facts.model),
            documents=self._tx.column("report_live_documents")[0],
            without_vector=count_backlog(self._tx, self._facts.model, None),
        )

    def _ledger(self) -> LedgerSize:
        tables = [
            Table(name=row["name"], rows=row["row_count"], written=row["written"])
            for row in self._rows("report_tables")
        ]
        return LedgerSize(
            location=self._facts.location,
            gitlab_url=self._facts.gitlab_url,
            file_bytes=self._facts.file_bytes,
            tables=tuple(tables),
        )

    def _entity(self, row: Mapping[str, Any]) -> Entity:
        key = EntityKey(EntityType(row["entity_type"]), row["iid"])
        url = address_of(self._facts.gitlab_url, row["project"], key) if self._facts.gitlab_url else None
        return Entity(name=f"{cut(row['project'])}{key}", entity_type=key.entity_type, iid=key.iid, url=url)
