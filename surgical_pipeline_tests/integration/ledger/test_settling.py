"""Which entities the ledger gives as due for one more fetch."""

from dataclasses import replace

import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.ledger.content import record_misses, upsert_entities
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.settling import due_entities
from surgical_pipeline_tests.integration.ledger.examples import (
    HandClock,
    at,
    entity,
    issue,
    merge_request,
    run_sql,
)
from surgical_pipeline_tests.integration.ledger.inbox import fetch, take

BROKEN = Failure(code=FailureCode.FORBIDDEN, message="not for this token", stage="preflight")
PREPARED = (
    '{"created_at": "2026-05-04T12:00:00.000Z", "prepared_at": "2026-05-04T12:00:02.000Z", "diff_refs": {"a": 1}}'
)
UNPREPARED = '{"created_at": "2026-05-04T12:00:00.000Z", "prepared_at": null, "diff_refs": {"a": 1}}'
WITHOUT_DIFF = '{"created_at": "2026-05-04T12:00:00.000Z", "prepared_at": "2026-05-04T12:00:02.000Z"}'


def due(ledger: Ledger, seconds: float, projects: list[int] | None = None) -> list[EntityKey]:
    with ledger.read() as tx:
        return [one.key for one in due_entities(tx, now=at(seconds), projects=projects)]


def fetched_once(ledger: Ledger, key: EntityKey, *, fetched: float, payload: str | None = None) -> None:
    """A run at that time fetched it; it had changed at noon."""
    run = take(ledger, f"fetch {key}", f"7{key}", clock=HandClock(at(fetched)))
    fetch(run, key, fetched=fetched)
    if payload:
        with run.window("plant") as tx:
            upsert_entities(tx, run.run_id, [replace(entity(key, fetched=fetched), payload=payload)])
    run.finish_succeeded()


def test_what_was_fetched_soon_after_its_change_is_due_125_seconds_after_it(ledger: Ledger) -> None:
    fetched_once(ledger, issue(1), fetched=3)
    fetched_once(ledger, issue(2), fetched=125)
    assert due(ledger, 124) == []
    assert due(ledger, 125) == [issue(1)]
    with ledger.read() as tx:
        (one,) = due_entities(tx, now=at(125))
    assert (one.project_id, one.project, one.due_at) == (7, "acme/rocket", at(125))
    assert due(ledger, 125, [7]) == [issue(1)]
    assert due(ledger, 125, [8]) == []


def test_it_is_due_once(ledger: Ledger) -> None:
    fetched_once(ledger, issue(1), fetched=3)
    run = take(ledger, "again", clock=HandClock(at(126)))
    assert due(ledger, 130) == []
    fetch(run, issue(1), fetched=126)
    run.finish_succeeded()
    assert due(ledger, 9999) == []


@pytest.mark.parametrize("scope", ["7#1", "acme/rocket#1"])
def test_what_a_run_has_that_has_not_ended_is_not_due(ledger: Ledger, scope: str) -> None:
    fetched_once(ledger, issue(1), fetched=3)
    take(ledger, "run-1", scope)
    assert due(ledger, 130) == []


def test_a_run_that_nobody_will_ever_end_delays_nothing(ledger: Ledger, clock: HandClock) -> None:
    fetched_once(ledger, issue(1), fetched=3)
    take(ledger, "run-1")
    clock.advance(600)
    assert due(ledger, 601) == []
    clock.advance(1)
    assert due(ledger, 601) == [issue(1)]


@pytest.mark.parametrize("scope", ["7#1", "acme/rocket#1", "Acme/Rocket#1"])
def test_runs_that_fail_are_tried_again_with_pauses_and_not_for_ever(ledger: Ledger, scope: str) -> None:
    fetched_once(ledger, issue(1), fetched=3)
    ended = 130
    for number, pause in enumerate((60, 300, 1800)):
        take(ledger, f"run-{number}", scope, clock=HandClock(at(ended))).finish_failed(BROKEN)
        assert due(ledger, ended + pause - 1) == []
        assert due(ledger, ended + pause) == [issue(1)]
        ended += pause
    take(ledger, "the last", scope, clock=HandClock(at(ended))).finish_failed(BROKEN)
    assert due(ledger, 99_999) == []


def test_a_machine_whose_clock_is_ahead_does_not_ask_in_every_tick(ledger: Ledger) -> None:
    ahead = 3600
    run = take(ledger, "run-1", clock=HandClock(at(ahead + 3)))
    fetch(run, issue(1), fetched=3)
    run.finish_succeeded()
    assert due(ledger, ahead + 4) == []
    assert due(ledger, ahead + 33) == [issue(1)]


def test_what_is_missed_is_not_due(ledger: Ledger) -> None:
    fetched_once(ledger, issue(1), fetched=3)
    with ledger.write("miss") as tx:
        record_misses(tx, "run-2", 7, [issue(1)], missed_at=at(30))
    assert due(ledger, 199) == []


@pytest.mark.parametrize("payload", [UNPREPARED, WITHOUT_DIFF])
def test_a_merge_request_that_is_not_prepared_is_due_again_for_an_hour(ledger: Ledger, payload: str) -> None:
    fetched_once(ledger, merge_request(3), fetched=200, payload=payload)
    fetched_once(ledger, merge_request(4), fetched=200, payload=PREPARED)
    fetched_once(ledger, merge_request(5), fetched=3600, payload=payload)
    assert due(ledger, 399) == []
    assert due(ledger, 400) == [merge_request(3)]
    assert due(ledger, 200 + 24 * 3600 + 1) == []


def test_entities_of_a_project_that_was_superseded_are_not_due(ledger: Ledger) -> None:
    fetched_once(ledger, issue(1), fetched=3)
    with ledger.write("plant") as tx:
        run_sql(tx, "UPDATE projects SET superseded_by = 8")
    assert due(ledger, 199) == []
