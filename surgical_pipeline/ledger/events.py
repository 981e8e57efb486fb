"""The inbox of events once it is filled: what waits in it, what became of it, and what people do with the rest."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityKey, EntityType
from surgical_pipeline.events.debounce import Waiting
from surgical_pipeline.events.verdicts import Pending, Stored, Verdict, judge
from surgical_pipeline.ledger.columns import columns, key_columns, key_of
from surgical_pipeline.ledger.protocol import Transaction

_OF_ENTITIES = frozenset({"issue", "confidential_issue", "work_item", "merge_request"})
"""Kinds of hooks whose time is the entity's own ``updated_at``; of others it is a note's or an emoji's."""
HEARD_WITHIN = timedelta(minutes=10)
"""A run without a sign of life for so long keeps nothing waiting. A lost one is ended sooner by the mirror."""
MAX_WAITING = 5_000
"""Entities that are read at once: more than a tick can ask for."""


class EventState(StrEnum):
    """The states of an event; migrations/0003_events.sql says how it gets there."""

    PENDING = "pending"
    DONE = "done"
    IGNORED = "ignored"
    DEAD = "dead"


class PendingProject(BaseModel):
    """``project``: its path, or its id if no path is known. ``events``: how many wait, since ``oldest_at``."""

    model_config = ConfigDict(frozen=True)

    project_id: int
    project: str
    events: int
    oldest_at: AwareDatetime


class InboxEvent(BaseModel):
    """An event as people see it. ``project``: its path, or its id if no path is known."""

    model_config = ConfigDict(frozen=True)

    seq: int
    state: EventState
    kind: str
    project_id: int
    project: str
    entity_type: EntityType
    iid: int
    occurred_at: AwareDatetime | None
    sent_at: AwareDatetime | None
    received_at: AwareDatetime
    attempts: int
    attempted_at: AwareDatetime | None
    settled_at: AwareDatetime | None
    run_id: str | None
    reason: str | None

    def __str__(self) -> str:
        """The entity as people write it: ``group/project#12``."""
        return f"{self.project}{EntityKey(self.entity_type, self.iid)}"


def pending_projects(tx: Transaction) -> list[PendingProject]:
    """Projects that have pending events, by id."""
    return [PendingProject.model_validate(row) for row in tx.rows("list_pending_projects")]


def waiting_entities(
    tx: Transaction, projects: Sequence[PendingProject], *, limit: int = MAX_WAITING
) -> list[Waiting]:
    """Entities of these projects that have pending events, but for those that a run takes that has not ended.

    If there are more than ``limit``, those with the fewest attempts come first, and of these the oldest.
    """
    if not projects:
        return []
    shown = {project.project_id: project.project for project in projects}
    rows = tx.rows(
        "list_waiting_entities", project_ids=list(shown), heard_since=tx.now - HEARD_WITHIN, limit=limit
    )
    return [
        Waiting(
            project_id=row["project_id"],
            project=shown[row["project_id"]],
            key=key_of(row),
            first_seq=row["first_seq"],
            last_seq=row["last_seq"],
            events=row["events"],
            fresh=row["fresh"],
            oldest_at=row["oldest_at"],
            newest_at=row["newest_at"],
            attempts=row["attempts"],
            attempted_at=row["attempted_at"],
        )
        for row in rows
    ]


def settle_events(tx: Transaction, run_id: str, *, outcomes: Sequence[EntityOutcome], now: datetime) -> None:
    """Write what became of pending events of a run's entities. Called in the window in which the run ends.

    One statement if none is pending.

    Args:
        tx: of that window, after the run's own row was written.
        run_id: the run.
        outcomes: of all its entities, as it leaves them.
        now: when it ended.
    """
    by_key = {outcome.key: outcome for outcome in outcomes}
    rows = tx.rows("load_pending_events_of_run", run_id=run_id, **key_columns(by_key)) if by_key else []
    if not rows:
        return
    stored = _stored(tx, rows[0]["project_id"], keys={key_of(row) for row in rows})
    judged = [
        judge(
            _pending(row),
            by_key[key_of(row)],
            stored=stored.get(key_of(row), Stored(known=False, fetched_at=None)),
            taken=row["events_upto"] is not None and row["seq"] <= row["events_upto"],
        )
        for row in rows
    ]
    verdicts = [verdict for verdict in judged if verdict is not None]
    if verdicts:
        tx.execute("settle_events", run_id=run_id, now=now, **_verdict_columns(verdicts))


def _pending(row: dict[str, Any]) -> Pending:
    return Pending(
        row["event_key"],
        row["seq"],
        row["received_at"],
        sent_at=row["sent_at"],
        attempts=row["attempts"],
        updated_at=row["occurred_at"] if row["kind"] in _OF_ENTITIES else None,
    )


def _stored(tx: Transaction, project_id: int, *, keys: Collection[EntityKey]) -> dict[EntityKey, Stored]:
    rows = tx.rows(
        "load_stored_fetches",
        project_id=project_id,
        dependents=[str(one) for one in CORE_DEPENDENTS],
        **key_columns(keys),
    )
    return {
        key_of(row): Stored(
            known=True,
            fetched_at=min(row["fetched_at"], row["dependents_fetched_at"])
            if row["dependents"] == len(CORE_DEPENDENTS)
            else None,
            updated_at=row["updated_at"],
        )
        for row in rows
    }


def _verdict_columns(verdicts: Sequence[Verdict]) -> dict[str, list[Any]]:
    rows = [(one.key, one.state, one.attempts, one.reason) for one in verdicts]
    return columns(rows, "event_key", "state", "attempts", "reason")


def list_events(tx: Transaction, *, limit: int, state: EventState | None = None) -> list[InboxEvent]:
    """Up to ``limit`` events, the latest first."""
    rows = tx.rows("list_events", limit=limit, state=None if state is None else str(state))
    return [InboxEvent.model_validate(row) for row in rows]


def count_events(tx: Transaction) -> dict[EventState, int]:
    """How many events are in each state."""
    found = dict(tx.execute("count_events"))
    return {state: found.get(str(state), 0) for state in EventState}


def retry_events(tx: Transaction, seqs: Sequence[int] = (), *, all_dead: bool = False) -> list[int]:
    """Have dead or ignored events wait again, without any attempt; returns the numbers of those that were."""
    return sorted(tx.column("retry_events", seqs=list(seqs), all=all_dead))


def drop_events(tx: Transaction, seqs: Sequence[int] = (), *, now: datetime, all_dead: bool = False) -> list[int]:
    """Ask for no run because of these pending or dead events; returns the numbers of those that were."""
    return sorted(tx.column("drop_events", seqs=list(seqs), all=all_dead, now=now))
