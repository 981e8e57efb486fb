"""What the ledger tells the sensor that polls: how far it is with rows, and what hooks told."""

from datetime import timedelta

import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.listing import ListedEntity
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityKey, Scope
from surgical_pipeline.events.list_state import Standing
from surgical_pipeline.events.poll_report import Announced
from surgical_pipeline.ledger.content import upsert_entities, upsert_project
from surgical_pipeline.ledger.dependents import replace_dependents
from surgical_pipeline.ledger.polling import (
    count_announced,
    load_standings,
    load_watched_projects,
)
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import queue_run
from surgical_pipeline_tests.integration.ledger.examples import (
    PROJECT,
    HandClock,
    at,
    discussions,
    entity,
    issue,
    run_sql,
    start,
)

TWELVE = issue(12)
NOTHING = timedelta()


def row(key: EntityKey = TWELVE, changed: float = 0) -> ListedEntity:
    return ListedEntity(PROJECT.project_id, PROJECT.path, key, at(changed))


def standing(ledger: Ledger, one: ListedEntity | None = None, ahead: timedelta = NOTHING) -> Standing:
    one = one or row()
    with ledger.read() as tx:
        return load_standings(tx, [one], ahead=ahead)[one.identity]


def fetch(ledger: Ledger, run_id: str, began: float, *, dependents: bool = True) -> SyncRunRecorder:
    """A run that has stored issue 12 as it was at noon, and goes on."""
    recorder = start(ledger, run_id, "acme/rocket#12", HandClock(at(began)))
    with recorder.window("ingest") as tx:
        upsert_project(tx, run_id, PROJECT, at(began))
        upsert_entities(tx, run_id, [entity(TWELVE, updated=0, fetched=began)])
        recorder.save_outcomes(tx, [outcome(ingested=True)])
        if dependents:
            replace_dependents(tx, run_id, PROJECT.project_id, [discussions(TWELVE, fetched=began + 1)])
    return recorder


def outcome(
    *, ingested: bool = False, failure: Failure | None = None, of_dependent: bool = False
) -> EntityOutcome:
    return EntityOutcome(
        entity_type=TWELVE.entity_type,
        iid=TWELVE.iid,
        fetched=ingested,
        ingested=ingested,
        failure=None if of_dependent else failure,
        dependent_failures=(failure,) if failure and of_dependent else (),
    )


def lost(stage: str, code: FailureCode = FailureCode.TIMEOUT) -> Failure:
    dependent = "discussions" if stage == "dependents" else None
    return Failure(code=code, message="too slow", stage=stage, dependent=dependent)


def test_what_the_ledger_never_had_is_not_known(ledger: Ledger) -> None:
    assert standing(ledger) == Standing()


@pytest.mark.parametrize(
    ("scope", "queued"),
    [("Acme/rocket#12", True), ("7#12", True), ("acme/other#12", False), ("acme/rocket!12", False)],
)
def test_a_queued_run_will_fetch_it_whether_it_names_the_project_by_path_or_id(
    ledger: Ledger, scope: str, *, queued: bool
) -> None:
    with ledger.write("queue") as tx:
        queue_run(
            tx,
            "run-1",
            scope=Scope.parse(scope),
            mode=RunMode.INCREMENTAL,
            trigger=Trigger.SENSOR,
            queued_at=at(1),
        )
    assert standing(ledger) == Standing(queued=queued)


def test_a_run_at_work_has_not_completed_what_it_stored(ledger: Ledger) -> None:
    fetch(ledger, "run-1", 100)
    assert standing(ledger) == Standing(at(0), at(100), running=True)


def test_a_run_that_ended_well_has(ledger: Ledger) -> None:
    assert fetch(ledger, "run-1", 100).finish_succeeded()
    found = standing(ledger)
    assert found == Standing(at(0), at(100), complete=True, tries=1, tried_at=at(100))
    assert found.has(at(0))


def test_a_run_that_was_made_before_the_change_is_no_try(ledger: Ledger) -> None:
    fetch(ledger, "run-1", 100).finish_succeeded()
    assert standing(ledger, row(changed=101)) == Standing(at(0), at(100), complete=True)


def test_runs_are_dated_by_our_clock_and_changes_by_gitlabs(ledger: Ledger) -> None:
    fetch(ledger, "run-1", 100).finish_succeeded()
    ahead = standing(ledger, row(changed=3700), ahead=timedelta(hours=1))
    assert (ahead.tries, ahead.tried_at) == (1, at(3700))
    assert standing(ledger, row(changed=3701), ahead=timedelta(hours=1)).tries == 0


def test_a_run_that_was_killed_between_its_windows_leaves_it_incomplete(ledger: Ledger) -> None:
    recorder = fetch(ledger, "run-1", 100)
    recorder.finish_failed(lost("embed", FailureCode.WORKER_LOST))
    assert standing(ledger) == Standing(at(0), at(100), tries=1, tried_at=at(100))


@pytest.mark.parametrize(
    ("failure", "complete"),
    [
        (lost("dependents"), False),
        (lost("docs", FailureCode.DOCUMENT_ERROR), False),
        (lost("embed", FailureCode.EMBEDDER_ERROR), True),  # a dead embedder's backlog is another job's
    ],
)
def test_what_failed_of_it_decides_whether_it_is_complete(
    ledger: Ledger, failure: Failure, *, complete: bool
) -> None:
    recorder = fetch(ledger, "run-1", 100)
    with recorder.window("end") as tx:
        recorder.save_outcomes(tx, [outcome(ingested=True, failure=failure, of_dependent=True)])
    recorder.finish_succeeded_with_warnings()
    assert standing(ledger).complete is complete


def test_a_later_run_completes_what_an_earlier_one_stored(ledger: Ledger) -> None:
    fetch(ledger, "run-1", 100).finish_failed(lost("docs", FailureCode.WORKER_LOST))
    fetch(ledger, "run-2", 200).finish_succeeded()
    assert standing(ledger).complete
    fetch(ledger, "run-3", 300).finish_failed(lost("docs", FailureCode.WORKER_LOST))
    assert not standing(ledger).complete


def test_without_its_discussions_it_is_incomplete_whatever_its_run_says(ledger: Ledger) -> None:
    """As after a run that was told to fetch no dependents."""
    fetch(ledger, "run-1", 100, dependents=False).finish_succeeded()
    assert not standing(ledger).complete


def test_where_its_run_is_no_longer_known_it_counts_as_complete(ledger: Ledger) -> None:
    fetch(ledger, "run-1", 100).finish_succeeded()
    with ledger.write("prune") as tx:
        run_sql(tx, "DELETE FROM sync_runs")
    assert standing(ledger).complete


def test_the_newest_fetch_of_each_project_is_known(ledger: Ledger) -> None:
    fetch(ledger, "run-1", 100)
    with ledger.read() as tx:
        (project,) = load_watched_projects(tx)
    assert (project.project_id, project.path, project.fetched_at) == (7, "acme/rocket", at(100))


def event(ledger: Ledger, iid: int, received: float) -> None:
    with ledger.write("receive") as tx:
        run_sql(
            tx,
            "INSERT INTO gitlab_events (event_key, seq, kind, project_id, entity_type, iid, received_at) "
            f"VALUES ('{iid}-{received}', 1, 'issue', 7, 'issue', {iid}, '{at(received).isoformat()}')",
        )


def test_a_change_is_announced_if_a_hook_came_within_two_minutes(ledger: Ledger) -> None:
    recorder = start(ledger, "run-1", "acme/rocket#1-5")
    with recorder.window("ingest") as tx:
        upsert_entities(tx, "run-1", [entity(issue(iid), updated=1000) for iid in (1, 2, 3, 4)])
        upsert_entities(tx, "run-1", [entity(issue(5), updated=9000)])
    event(ledger, 1, 1003)
    event(ledger, 1, 1004)
    event(ledger, 2, 1119)
    event(ledger, 3, 1121)
    event(ledger, 4, 500)
    with ledger.read() as tx:
        told = count_announced(tx, [7], since=at(0), until=at(8000), ahead=NOTHING)
        assert told == Announced(changes=4, told=2, last_at=at(1121))
        skewed = count_announced(tx, [7], since=at(0), until=at(8000), ahead=timedelta(seconds=500))
        assert skewed == Announced(changes=4, told=1, last_at=at(1621))
        assert count_announced(tx, [8], since=at(0), until=at(8000), ahead=NOTHING) == Announced(0, 0, None)
