"""What the sensor asks for, that it asks once, and that it asks again for what came to nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from surgical_pipeline.defs.dagster_runs import events_upto_of, mode_of, trigger_of
from surgical_pipeline.defs.sensors.gitlab_webhooks import gitlab_webhooks
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.cursor import MAX_BYTES, InboxCursor
from surgical_pipeline_tests.integration.defs.sensors.webhooks import Inbox, scopes
from surgical_pipeline_tests.integration.ledger.examples import AnyLedger, HandClock, issue, run_sql
from surgical_pipeline_tests.integration.ledger.inbox import fetch, take
from surgical_pipeline_tests.ledger_dump import setting_of

pytestmark = pytest.mark.both_ledgers


def test_events_of_a_project_become_one_run_with_its_tags(inbox: Inbox) -> None:
    inbox.receive(1)
    inbox.receive(2)
    inbox.receive(1)
    (request,) = inbox.tick()
    assert scopes([request]) == ["7 [1, 2] []"]
    assert request.tags == {
        "surgical/trigger": "webhook",
        "surgical/project": "acme/rocket",
        "surgical/scope": "acme/rocket#1+2",
        "surgical/events": "3 events, up to 3",
        "dagster/priority": "5",
    }
    run = inbox.submit(request)
    assert (mode_of(run), trigger_of(run), events_upto_of(run)) == ("incremental", "sensor", 3)


def test_an_evaluation_that_is_repeated_asks_for_the_same(inbox: Inbox) -> None:
    inbox.receive(1)
    inbox.tick()
    inbox.receive(2)
    first, second = inbox.evaluate(), inbox.evaluate()
    assert first == second
    assert scopes(first[1]) == ["7 [2] []"]


def test_a_run_that_has_not_appeared_yet_is_not_asked_for_twice(inbox: Inbox) -> None:
    inbox.receive(1)
    assert len(inbox.tick()) == 1
    inbox.clock.advance(59)
    assert inbox.tick() == []


def test_a_run_that_never_appears_is_asked_for_again_with_another_key(inbox: Inbox) -> None:
    inbox.receive(1)
    (lost,) = inbox.tick()
    inbox.clock.advance(61)
    (again,) = inbox.tick()
    assert again.run_key != lost.run_key
    assert scopes([again]) == scopes([lost])


@pytest.mark.parametrize(
    "status", [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
)
def test_later_events_of_an_entity_wait_for_its_run_in_dagster(inbox: Inbox, status: DagsterRunStatus) -> None:
    inbox.receive(1)
    (request,) = inbox.tick()
    inbox.submit(request, status)
    inbox.receive(1)
    inbox.receive(2)
    assert scopes(inbox.tick()) == ["7 [2] []"]
    inbox.clock.advance(600)
    assert scopes(inbox.tick()) == ["7 [2] []"]


def test_they_are_asked_for_when_it_has_ended(inbox: Inbox) -> None:
    inbox.receive(1)
    (request,) = inbox.tick()
    run = inbox.submit(request)
    inbox.receive(1)
    assert inbox.tick() == []
    recorder = take(inbox.ledger, run.run_id, "7#1", upto=1, clock=inbox.clock)
    fetch(recorder, issue(1))
    recorder.finish_succeeded()
    inbox.instance.report_dagster_event(
        dg.DagsterEvent(event_type_value="PIPELINE_SUCCESS", job_name="surgical_sync_job"), run.run_id
    )
    (following,) = inbox.tick()
    assert following.tags["surgical/events"] == "1 event, up to 2"


def test_a_run_that_ended_in_dagster_and_not_yet_in_the_ledger_is_waited_for(inbox: Inbox) -> None:
    inbox.receive(1)
    (request,) = inbox.tick()
    run = inbox.submit(request)
    inbox.instance.report_run_failed(run)
    assert inbox.tick() == []
    inbox.clock.advance(61)
    assert len(inbox.tick()) == 1


def test_a_failed_run_is_asked_for_again_after_a_pause_with_another_key(inbox: Inbox) -> None:
    inbox.receive(1)
    keys = []
    for attempt, pause in enumerate((30, 120, 600, 3600, 0), start=1):
        (request,) = inbox.tick()
        keys.append(request.run_key)
        assert request.tags["surgical/events"].startswith(
            "1 event, " + (f"attempt {attempt}" if attempt > 1 else "up")
        )
        inbox.fail(inbox.submit(request))
        inbox.clock.advance(pause - 1)
        assert inbox.tick() == []
        inbox.clock.advance(1)
    inbox.clock.advance(99_999)
    assert inbox.tick() == []
    assert len(set(keys)) == 5
    assert inbox.told == "No event waits."


def test_a_crash_between_result_and_submission_loses_nothing_and_doubles_nothing(inbox: Inbox) -> None:
    """Dagster's daemon died: either nothing was stored, or it submits what was stored, with the same keys."""
    made: dict[str | None, dg.DagsterRun] = {}
    for iid in range(1, 11):
        inbox.receive(iid)
        inbox.evaluate()  # died before it was stored
        for request in inbox.tick():
            assert request.run_key not in made
            made[request.run_key] = inbox.submit(request)
        assert inbox.tick() == []
    asked = [scope for run in made.values() for scope in [run.tags["surgical/scope"]]]
    assert asked == [f"acme/rocket#{iid}" for iid in range(1, 11)]


def test_many_events_make_bounded_requests_and_a_short_cursor(inbox: Inbox) -> None:
    with inbox.ledger.write("plant") as tx:
        run_sql(
            tx,
            "INSERT INTO gitlab_events (event_key, seq, kind, project_id, entity_type, iid, received_at) "
            "SELECT 'many-' || n, n, 'note', 1000000 + n % 300, 'issue', n, TIMESTAMPTZ '2026-01-01' "
            "FROM generate_series(1, 10000) AS numbers(n)",
        )
    asked = 0
    for _ in range(5):
        requests = inbox.tick()
        assert 0 < len(requests) <= 10
        assert len(str(inbox.cursor)) <= MAX_BYTES
        asked += len(requests)
        for request in requests:
            inbox.submit(request)
        inbox.clock.advance(5)
    assert asked == 50


def test_projects_that_are_not_watched_are_named_and_left(inbox: Inbox) -> None:
    inbox.receive(1)
    inbox.receive(1, project_id=8, path="'other/thing'")
    watches = [Watch.parse("other/*")]
    (request,) = inbox.tick(watches)
    assert scopes([request]) == ["8 [1] []"]
    assert inbox.tick(watches) == []
    assert inbox.told == (
        "1 event waits for a moment's quiet, another attempt or a run's end. "
        "1 event waits, too, of projects that SURGICAL_PROJECTS does not name."
    )


def test_an_empty_inbox_is_a_sentence(inbox: Inbox) -> None:
    assert inbox.tick() == []
    assert inbox.told == "No event waits."


def test_a_missing_ledger_is_a_sentence(inbox: Inbox, new_ledger: Callable[[str], AnyLedger]) -> None:
    inbox.ledger = new_ledger("missing")
    assert inbox.tick() == []
    assert inbox.told == "There is no ledger yet, and so no event in it."


def test_a_ledger_that_went_back_is_told_and_asked_again(
    inbox: Inbox, new_ledger: Callable[[str], AnyLedger]
) -> None:
    inbox.receive(1)
    (request,) = inbox.tick()
    inbox.submit(request)
    before = InboxCursor.parse(str(inbox.cursor))
    inbox.ledger = new_ledger("restored")
    with inbox.ledger.write("make"):
        pass
    inbox._seq = 0
    inbox.receive(2)
    assert inbox.tick() == []
    assert inbox.told.startswith(
        "The ledger is not the one of the last tick, or an older copy of it. Events up to 1"
    )
    (following,) = inbox.tick()
    assert scopes([following]) == ["7 [2] []"]
    assert following.run_key != request.run_key
    assert InboxCursor.parse(str(inbox.cursor)).asks > before.asks


def test_a_cursor_that_cannot_be_read_is_told_and_replaced(inbox: Inbox) -> None:
    inbox.receive(1)
    inbox.cursor = "nonsense"
    assert len(inbox.tick()) == 1
    assert inbox.told.startswith("The cursor cannot be read: events are asked for anew.")
    assert inbox.tick() == []


def test_what_may_have_changed_unseen_is_asked_for_once_where_no_projects_are_named(inbox: Inbox) -> None:
    noon = HandClock()
    run = take(inbox.ledger, "run-1", clock=noon)
    fetch(run, issue(1), fetched=3)
    run.finish_succeeded()
    assert inbox.tick([Watch.parse("acme/rocket")]) == []
    (request,) = inbox.tick()
    assert scopes([request]) == ["7 [1] []"]
    assert (request.tags["surgical/trigger"], request.tags["dagster/priority"]) == ("settle", "0")
    assert "surgical/events" not in request.tags
    inbox.submit(request)
    assert inbox.tick() == []


def test_an_entity_with_an_event_is_not_asked_for_beside_it(inbox: Inbox) -> None:
    run = take(inbox.ledger, "run-1", clock=HandClock())
    fetch(run, issue(1), fetched=3)
    run.finish_succeeded()
    inbox.receive(1)
    (request,) = inbox.tick()
    assert request.tags["surgical/trigger"] == "webhook"


def test_the_sensor_itself_answers_with_requests_or_a_reason(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("SURGICAL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("SURGICAL_LEDGER", setting_of(inbox.ledger))
    inbox.receive(1)
    answers = []
    cursor = None
    for _ in range(2):
        result = gitlab_webhooks(dg.build_sensor_context(instance=inbox.instance, cursor=cursor))
        assert isinstance(result, dg.SensorResult)
        answers.append((scopes(result.run_requests or []), result.skip_reason and result.skip_reason.skip_message))
        cursor = result.cursor
    assert answers == [
        (["7 [1] []"], None),
        ([], "1 event waits for a moment's quiet, another attempt or a run's end."),
    ]


def test_the_sensor_is_off_where_no_secret_is_set() -> None:
    """Tests run without one."""
    assert gitlab_webhooks.default_status is dg.DefaultSensorStatus.STOPPED
    assert gitlab_webhooks.minimum_interval_seconds is not None
    assert gitlab_webhooks.minimum_interval_seconds <= 5
