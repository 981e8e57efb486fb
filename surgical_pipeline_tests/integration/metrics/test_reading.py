"""What metrics say of a ledger in which something happened."""

from collections.abc import Sequence

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import HttpStats
from surgical_pipeline.domain.pruning import PruneWish
from surgical_pipeline.domain.watches import Watch
from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.ledger.inbox import record_deliveries
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.pruning import prune_ledger
from surgical_pipeline.metrics.catalog import OF_LEDGER
from surgical_pipeline.metrics.reading import parts
from surgical_pipeline_tests.integration.ledger.examples import MODEL, HandClock, at, issue, run_sql, start
from surgical_pipeline_tests.integration.ledger.inbox import fetch, receive, take

Read = dict[tuple[str, ...], float]
BROKEN = Failure(code=FailureCode.SERVER_ERROR, message="GitLab answered 500 to acme/rocket", stage="preflight")


def read(ledger: Ledger, watches: Sequence[Watch] = (), model: str | None = MODEL) -> Read:
    """The values by name and labels."""
    found: Read = {}
    for part in parts(watches, model):
        with ledger.read() as tx:
            for metric, value, labels in part(tx):
                assert (metric.name, *labels) not in found
                found[metric.name, *labels] = value
    return found


def test_an_empty_ledger_tells_of_all_that_can_be_counted_as_zero(ledger: Ledger) -> None:
    found = read(ledger)
    assert set(found.values()) == {0}
    assert found["surgical_runs", "failed", "sensor"] == 0
    assert found["surgical_run_failures_total", "WORKER_LOST"] == 0
    told = {name for name, *_ in found}
    silent = {"surgical_ledger_up", "surgical_ledger_trouble", "surgical_ledger_read_seconds"}
    silent |= {"surgical_last_success_timestamp_seconds", "surgical_lag_seconds"}
    assert told == {metric.name for metric in OF_LEDGER} - silent


def test_runs_are_counted_by_status_and_trigger_and_the_quietest_is_told(ledger: Ledger, clock: HandClock) -> None:
    start(ledger, "run-1").finish_failed(BROKEN)
    take(ledger, "run-2", clock=clock)
    clock.advance(100)
    take(ledger, "run-3", clock=clock)
    clock.advance(20)
    found = read(ledger)
    assert found["surgical_runs", "failed", "cli"] == 1
    assert found["surgical_runs", "running", "sensor"] == 2
    assert sum(value for (name, *_), value in found.items() if name == "surgical_runs") == 3
    assert found["surgical_runs_total",] == 3
    assert found["surgical_oldest_heartbeat_seconds",] == 120
    assert ("surgical_last_success_timestamp_seconds",) not in found


def test_a_success_is_told_with_its_time(ledger: Ledger, clock: HandClock) -> None:
    run = take(ledger, "run-1", clock=clock)
    fetch(run, issue(1))
    clock.advance(7)
    run.finish_succeeded()
    assert read(ledger)["surgical_last_success_timestamp_seconds",] == at(7).timestamp()


def test_failures_stay_counted_after_their_runs_are_pruned(ledger: Ledger) -> None:
    for run_id in ("run-1", "run-2"):
        start(ledger, run_id, "acme/rocket#1").finish_failed(BROKEN)
    good = take(ledger, "run-3")
    fetch(good, issue(1))
    good.finish_succeeded()
    start(ledger, "run-4", "acme/rocket#1").finish_failed(BROKEN)
    before = read(ledger)
    assert before["surgical_run_failures_total", "SERVER_ERROR"] == 3
    assert before["surgical_entity_failures_total", "SERVER_ERROR"] == 3
    with ledger.write("plant") as tx:
        run_sql(tx, "UPDATE sync_runs SET dagster_instance = 'here'")
    wish = PruneWish(before=at(9999), dry_run=False)
    assert prune_ledger(ledger, wish, instance="here", still_known=lambda _ids: ()).runs == 2
    after = read(ledger)
    assert sum(value for (name, *_), value in after.items() if name == "surgical_runs") == 2
    for name in ("surgical_run_failures_total", "surgical_entity_failures_total"):
        assert after[name, "SERVER_ERROR"] == before[name, "SERVER_ERROR"]
    assert after["surgical_runs_total",] == 4


def test_the_last_hour_has_the_requests_and_the_lock_of_its_runs_alone(ledger: Ledger, clock: HandClock) -> None:
    for requests in (5, 7):
        run = start(ledger, f"run-{requests}", clock=clock)
        run.count_requests(HttpStats(requests=requests, retries=2, rate_limited=1))
        run.finish_failed(BROKEN)
        clock.advance(3000)
    found = read(ledger)
    assert found["surgical_last_hour_http_requests",] == 7
    assert found["surgical_last_hour_http_retries",] == 2
    assert found["surgical_last_hour_http_rate_limited",] == 1
    assert (found["surgical_last_hour_runs", "failed"], found["surgical_last_hour_entities",]) == (1, 3)
    assert found["surgical_last_hour_lock_windows",] > 0
    assert 0 < found["surgical_last_hour_lock_held_seconds",] < 20
    assert 0 < found["surgical_last_hour_longest_lock_held_seconds",] < 20


def test_events_are_told_by_state_and_the_oldest_only_of_watched_projects(
    ledger: Ledger, clock: HandClock
) -> None:
    receive(ledger, issue(1), seq=1, received=-500, project_id=8, path="'acme/other'")
    receive(ledger, issue(1), seq=2, received=-30)
    with ledger.write("plant") as tx:
        run_sql(tx, "UPDATE gitlab_events SET state = 'dead', settled_at = received_at WHERE seq = 2")
    receive(ledger, issue(2), seq=3, received=-20)
    clock.advance(5)
    watched = read(ledger, [Watch("acme/rocket")])
    assert (watched["surgical_events", "pending"], watched["surgical_events", "dead"]) == (2, 1)
    assert watched["surgical_oldest_pending_event_seconds",] == 25
    assert read(ledger)["surgical_oldest_pending_event_seconds",] == 505
    assert read(ledger, [Watch("acme/third")])["surgical_oldest_pending_event_seconds",] == 0


def test_lags_are_told_with_their_statistics(ledger: Ledger, clock: HandClock) -> None:
    receive(ledger, issue(1), seq=1, received=-40)
    run = take(ledger, "run-1", upto=1, clock=clock)
    fetch(run, issue(1))
    clock.advance(10)
    run.finish_succeeded()
    clock.advance(1)
    found = read(ledger)
    assert [found["surgical_lag_seconds", "event_to_done", one] for one in ("median", "p95", "longest")] == [
        50
    ] * 3


def test_deliveries_of_all_receivers_are_added_up(ledger: Ledger) -> None:
    with ledger.write("inbox") as tx:
        record_deliveries(tx, "one", DeliveryCounts(accepted=2, refused_secret=1))
        record_deliveries(tx, "two", DeliveryCounts(accepted=3))
    found = read(ledger)
    assert found["surgical_hook_deliveries_total", "accepted"] == 5
    assert found["surgical_hook_deliveries_total", "refused_secret"] == 1


def test_without_a_known_embedder_nothing_is_said_of_vectors(ledger: Ledger) -> None:
    assert ("surgical_documents_without_vector",) not in read(ledger, model=None)


def test_a_code_that_this_version_does_not_know_is_counted_as_other(ledger: Ledger) -> None:
    start(ledger, "run-1").finish_failed(BROKEN)
    with ledger.write("plant") as tx:
        run_sql(tx, "UPDATE sync_runs SET failure_code = 'OF_TOMORROW'")
    assert read(ledger)["surgical_run_failures_total", "other"] == 1
