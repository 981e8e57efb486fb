"""An inbox as the receiver fills it, and what stands in it."""

from typing import Any

from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.failures import Failure
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityKey, Scope
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline_tests.integration.ledger.examples import (
    PROJECT,
    HandClock,
    at,
    discussions,
    entity,
    events,
    read_sql,
    run_sql,
)


def receive(
    ledger: Ledger,
    key: EntityKey,
    *,
    seq: int,
    received: float = 0,
    signed: bool = False,
    project_id: int = PROJECT.project_id,
    path: str = "'acme/rocket'",
) -> None:
    """An event as the receiver brings it over."""
    moment = f"TIMESTAMPTZ '{at(received).isoformat()}'"
    with ledger.write("receive") as tx:
        run_sql(
            tx,
            "INSERT INTO gitlab_events "
            "(event_key, seq, kind, project_id, project_path, entity_type, iid, sent_at, received_at) "
            f"VALUES ('event-{seq}', {seq}, 'note', {project_id}, {path}, '{key.entity_type}', {key.iid}, "
            f"{moment if signed else 'NULL'}, {moment})",
        )


def take(
    ledger: Ledger,
    run_id: str,
    scope: str = "7#1",
    *,
    upto: int | None = None,
    clock: HandClock | None = None,
) -> SyncRunRecorder:
    """A running run that a sensor asked for, because of the events up to that number."""
    recorder = SyncRunRecorder(ledger, run_id, clock=clock or HandClock())
    recorder.start_surgical(Scope.parse(scope), mode=RunMode.INCREMENTAL, trigger=Trigger.SENSOR, events_upto=upto)
    return recorder


def fetch(recorder: SyncRunRecorder, key: EntityKey, *, fetched: float = 100, updated: float = 0) -> None:
    """The run writes the entity and all core dependents as fetched then."""
    with recorder.window("ingest") as tx:
        recorder.set_project(PROJECT.project_id, PROJECT.path, tx)
        upsert_project(tx, recorder.run_id, PROJECT, at(fetched))
        written = upsert_entities(tx, recorder.run_id, [entity(key, fetched=fetched, updated=updated)])
        sets = [
            discussions(key, fetched=fetched)
            if dependent is Dependent.DISCUSSIONS
            else events(key, dependent, [], fetched=fetched)
            for dependent in CORE_DEPENDENTS
        ]
        replace_dependents(tx, recorder.run_id, PROJECT.project_id, sets)
    report(recorder, key, fetched=True, ingested=key in written, stale_skipped=key not in written)


def report(recorder: SyncRunRecorder, key: EntityKey, failure: Failure | None = None, **values: Any) -> None:
    """The run says so of the entity."""
    outcome = EntityOutcome(entity_type=key.entity_type, iid=key.iid, failure=failure, **values)
    with recorder.window("outcomes") as tx:
        recorder.save_outcomes(tx, [outcome])


def states(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Number, state and attempts of each event, the first first."""
    with ledger.read() as tx:
        return read_sql(tx, "SELECT seq, state, attempts FROM gitlab_events ORDER BY seq")
