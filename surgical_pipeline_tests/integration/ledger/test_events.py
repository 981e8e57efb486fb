"""What waits in the inbox, what a run's end makes of it, and what people can do with the rest."""

from dataclasses import replace

import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.events.debounce import Waiting
from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.duckdb import transaction
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.events import (
    EventState,
    PendingProject,
    count_events,
    drop_events,
    list_events,
    pending_projects,
    retry_events,
    waiting_entities,
)
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import queue_run
from surgical_pipeline_tests.integration.ledger.examples import HandClock, at, issue, merge_request, run_sql
from surgical_pipeline_tests.integration.ledger.inbox import fetch, receive, report, states, take

BROKEN = Failure(code=FailureCode.SERVER_ERROR, message="GitLab answered 500.", stage="preflight")
MISSING = Failure(code=FailureCode.NOT_FOUND, message="no such IID", stage="preflight")
GONE = Failure(code=FailureCode.PROJECT_NOT_FOUND, message="no such project", stage="preflight")


def entities(ledger: DuckDBLedger) -> list[Waiting]:
    with ledger.read() as tx:
        return waiting_entities(tx, pending_projects(tx))


def test_pending_events_wait_by_project_and_entity(ledger: DuckDBLedger) -> None:
    for seq, received in enumerate((0, 3, 2), start=1):
        receive(ledger, issue(1), seq=seq, received=received)
    receive(ledger, merge_request(3), seq=4, received=9, project_id=8, path="NULL")
    with ledger.read() as tx:
        assert pending_projects(tx) == [
            PendingProject(project_id=7, project="acme/rocket", events=3, oldest_at=at(0)),
            PendingProject(project_id=8, project="8", events=1, oldest_at=at(9)),
        ]
    first = Waiting(7, "acme/rocket", issue(1), 1, 3, 3, 3, at(0), at(3))
    assert entities(ledger) == [first, Waiting(8, "8", merge_request(3), 4, 4, 1, 1, at(9), at(9))]
    with ledger.read() as tx:
        assert waiting_entities(tx, pending_projects(tx)[:1]) == [first]
        assert waiting_entities(tx, []) == []
        assert waiting_entities(tx, pending_projects(tx), limit=1) == [first]


def test_a_project_is_shown_by_the_path_that_the_ledger_has(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1, path="'acme/former-name'")
    fetch(take(ledger, "run-1"), issue(1))
    with ledger.read() as tx:
        assert [project.project for project in pending_projects(tx)] == ["acme/rocket"]


def test_the_run_that_an_event_caused_settles_it(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    receive(ledger, issue(2), seq=2)
    run = take(ledger, "run-1", upto=1, clock=HandClock(at(5)))
    fetch(run, issue(1), fetched=-9999)
    assert run.finish_succeeded()
    assert states(ledger) == [(1, "done", 0), (2, "pending", 0)]
    with ledger.read() as tx:
        done = list_events(tx, limit=9)[1]
    assert (done.run_id, done.settled_at, done.attempted_at, done.reason) == ("run-1", at(5), None, None)


@pytest.mark.parametrize(
    ("signed", "fetched", "state"),
    [(True, 1, "pending"), (True, 2, "done"), (False, 59, "pending"), (False, 60, "done")],
)
def test_a_persons_run_settles_it_if_its_fetch_surely_began_later(
    ledger: DuckDBLedger, signed: bool, fetched: float, state: str
) -> None:
    receive(ledger, issue(1), seq=1, signed=signed)
    run = take(ledger, "run-1", "acme/rocket#1")
    fetch(run, issue(1), fetched=fetched)
    run.finish_succeeded()
    assert states(ledger) == [(1, state, 0)]


def test_a_persons_run_without_all_dependents_settles_nothing(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    run = take(ledger, "run-1", "acme/rocket#1")
    fetch(run, issue(1), fetched=9999)
    with run.window("lose") as tx:
        run_sql(tx, "DELETE FROM dependent_fetches WHERE dependent = 'label_events'")
    run.finish_succeeded()
    assert states(ledger) == [(1, "pending", 0)]


def test_an_event_after_those_that_a_run_takes_is_left_to_the_clocks(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    run = take(ledger, "run-1", upto=1)
    receive(ledger, issue(1), seq=2)
    fetch(run, issue(1), fetched=10)
    run.finish_succeeded()
    assert states(ledger) == [(1, "done", 0), (2, "pending", 0)]


def test_an_event_of_another_project_is_left_alone(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1, project_id=8)
    run = take(ledger, "run-1", upto=1)
    fetch(run, issue(1), fetched=9999)
    run.finish_succeeded()
    assert states(ledger) == [(1, "pending", 0)]


def test_five_failures_make_a_dead_letter_that_says_why(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    for attempt in range(1, 6):
        run = take(ledger, f"run-{attempt}", upto=1, clock=HandClock(at(attempt)))
        report(run, issue(1), BROKEN)
        run.finish_succeeded_with_warnings()
        assert states(ledger) == [(1, "pending" if attempt < 5 else "dead", attempt)]
    with ledger.read() as tx:
        (letter,) = list_events(tx, limit=9, state=EventState.DEAD)
        assert count_events(tx) == {"pending": 0, "done": 0, "ignored": 0, "dead": 1}
    assert (letter.reason, letter.attempted_at, letter.run_id) == (
        "SERVER_ERROR: GitLab answered 500.",
        at(5),
        "run-5",
    )
    assert str(letter) == "acme/rocket#1"


def test_a_failed_run_is_an_attempt_before_gitlab_was_asked_for_the_project(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    take(ledger, "run-1", upto=1).finish_failed(GONE)
    assert states(ledger) == [(1, "pending", 1)]
    assert entities(ledger)[0].attempts == 1


def test_a_run_that_is_cancelled_in_the_queue_is_an_attempt(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    with ledger.write("queue") as tx:
        queue_run(
            tx,
            "run-1",
            scope=Scope.parse("7#1"),
            mode=RunMode.INCREMENTAL,
            trigger=Trigger.SENSOR,
            queued_at=at(0),
            events_upto=1,
        )
    assert entities(ledger) == []
    SyncRunRecorder(ledger, "run-1").finish_cancelled()
    assert states(ledger) == [(1, "pending", 1)]
    with ledger.read() as tx:
        assert list_events(tx, limit=1)[0].reason == "CANCELLED: The run was cancelled."


def test_a_persons_failed_run_is_no_attempt(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    run = take(ledger, "run-1", "acme/rocket#1")
    run.set_project(7, "acme/rocket")
    run.finish_failed(BROKEN)
    assert states(ledger) == [(1, "pending", 0)]


def test_what_gitlab_never_gives_is_ignored_and_no_dead_letter(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    for attempt in (1, 2, 3):
        run = take(ledger, f"run-{attempt}", upto=1)
        run.set_project(7, "acme/rocket")
        report(run, issue(1), MISSING)
        run.finish_failed(MISSING)
    assert states(ledger) == [(1, "ignored", 3)]


def test_an_end_that_is_not_taken_settles_nothing(ledger: DuckDBLedger) -> None:
    run = take(ledger, "run-1", upto=1)
    run.finish_failed(BROKEN)
    receive(ledger, issue(1), seq=1)
    assert not run.finish_failed(BROKEN)
    assert states(ledger) == [(1, "pending", 0)]


def test_entities_of_a_run_that_takes_their_events_do_not_wait(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    receive(ledger, issue(2), seq=2)
    run = take(ledger, "run-1", "7#1", upto=1)
    assert [one.key for one in entities(ledger)] == [issue(2)]
    run.set_project(7, "acme/rocket")
    assert [one.key for one in entities(ledger)] == [issue(2)]
    run.finish_failed(BROKEN)
    assert [one.key for one in entities(ledger)] == [issue(2), issue(1)]


def test_a_run_that_nobody_will_ever_end_keeps_nothing_waiting(ledger: DuckDBLedger, clock: HandClock) -> None:
    """Such as one in the queue of a Dagster whose storage was moved away."""
    receive(ledger, issue(1), seq=1)
    with ledger.write("queue") as tx:
        queue_run(
            tx,
            "run-1",
            scope=Scope.parse("7#1"),
            mode=RunMode.INCREMENTAL,
            trigger=Trigger.SENSOR,
            queued_at=at(0),
            events_upto=1,
        )
    clock.advance(600)
    assert entities(ledger) == []
    clock.advance(1)
    assert [one.key for one in entities(ledger)] == [issue(1)]


def test_entities_of_a_persons_run_wait_for_a_run_of_their_own(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    take(ledger, "run-1", "7#1")
    assert [one.key for one in entities(ledger)] == [issue(1)]


def test_a_tried_entity_with_a_fresh_event_shows_both(ledger: DuckDBLedger) -> None:
    receive(ledger, issue(1), seq=1)
    run = take(ledger, "run-1", upto=1, clock=HandClock(at(5)))
    run.finish_failed(BROKEN)
    receive(ledger, issue(1), seq=2, received=6)
    expected = Waiting(7, "acme/rocket", issue(1), 1, 2, 2, 1, at(6), at(6), 1, at(5))
    assert entities(ledger) == [expected]
    assert replace(expected, fresh=0) != expected


def test_dead_letters_are_retried_or_dropped_by_people(ledger: DuckDBLedger) -> None:
    for seq in (1, 2, 3, 4):
        receive(ledger, issue(seq), seq=seq)
    with ledger.write("plant") as tx:
        run_sql(
            tx,
            "UPDATE gitlab_events SET state = 'dead', attempts = 5, attempted_at = received_at, "
            "settled_at = received_at, reason = 'broken' WHERE seq < 4",
        )
    with ledger.write("retry") as tx:
        assert retry_events(tx, [2, 4, 99]) == [2]
        assert drop_events(tx, [4], now=at(7)) == [4]
    assert states(ledger) == [(1, "dead", 5), (2, "pending", 0), (3, "dead", 5), (4, "ignored", 0)]
    with ledger.write("drop") as tx:
        assert drop_events(tx, now=at(7), all_dead=True) == [1, 3]
        assert retry_events(tx, [1, 4]) == [1, 4]
        assert retry_events(tx, all_dead=True) == []
    assert [state for _, state, _ in states(ledger)] == ["pending", "pending", "ignored", "pending"]
    assert len(entities(ledger)) == 3


def test_a_run_of_nothing_pending_costs_one_statement(
    ledger: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = sql.query

    def noted(name: str) -> sql.Query:
        asked.append(name)
        return real(name)

    monkeypatch.setattr(transaction, "query", noted)
    receive(ledger, issue(2), seq=1)
    run = take(ledger, "run-1")
    fetch(run, issue(1))
    run.finish_succeeded()
    ours = {"load_pending_events_of_run", "load_stored_fetches", "settle_events"}
    assert [name for name in asked if name in ours] == ["load_pending_events_of_run"]
