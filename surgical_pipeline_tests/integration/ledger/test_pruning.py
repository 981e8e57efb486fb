"""Which old runs and events go from the ledger, and that what something needs stays."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.listing import ListedEntity
from surgical_pipeline.domain.pruning import PruneWish
from surgical_pipeline.domain.scope import EntityKey, Scope
from surgical_pipeline.events.list_state import Standing
from surgical_pipeline.ledger import pruning
from surgical_pipeline.ledger.events import EventState, list_events
from surgical_pipeline.ledger.inbox import insert_events
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.ledger.polling import load_standings
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.pruning import TRIES, Pruned, prune_ledger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import find_run, list_runs, mark_of, queue_run, went_back
from surgical_pipeline_tests.integration.ledger.examples import (
    PROJECT,
    HandClock,
    at,
    entity,
    issue,
    issue_event,
    read_sql,
    run_sql,
)
from surgical_pipeline_tests.integration.ledger.inbox import fetch, report

HERE = "this Dagster"
BEFORE = at(1000)
"""What ends before that is old; examples that need not be old are made after it."""
FAILED = Failure(code=FailureCode.SERVER_ERROR, message="500", stage="preflight")
LATE = Failure(code=FailureCode.TIMEOUT, message="late", stage="dependents", dependent="discussions")


def begin(ledger: Ledger, run_id: str, scope: str, *, when: float, **more: Any) -> SyncRunRecorder:
    recorder = SyncRunRecorder(ledger, run_id, clock=HandClock(at(when)))
    given = {"mode": RunMode.SURGICAL, "trigger": Trigger.CLI, "dagster_instance": HERE} | more
    recorder.start_surgical(Scope.parse(scope), **given)
    return recorder


def brought(ledger: Ledger, run_id: str, iid: int = 1, *, when: float, **more: Any) -> None:
    """An ended run that brought this issue up to date."""
    recorder = begin(ledger, run_id, f"acme/rocket#{iid}", when=when, **more)
    fetch(recorder, issue(iid), fetched=when)
    count(recorder, ingested=1)
    recorder.finish_succeeded()


def count(recorder: SyncRunRecorder, **counters: int) -> None:
    with recorder.window("count") as tx:
        recorder.add_counters(tx, fetched=1, **counters)


def failed(ledger: Ledger, run_id: str, iid: int = 1, *, when: float, **more: Any) -> None:
    """An ended run that failed before it knew the project's id."""
    begin(ledger, run_id, f"acme/rocket#{iid}", when=when, **more).finish_failed(FAILED)


def prune(
    ledger: Ledger,
    *,
    known: Collection[str] = (),
    instance: str | None = HERE,
    dry_run: bool = False,
    triggers: Collection[Trigger] = frozenset(Trigger),
) -> Pruned:
    wish = PruneWish(before=BEFORE, dry_run=dry_run, triggers=frozenset(triggers))
    return prune_ledger(ledger, wish, instance=instance, still_known=lambda ids: set(ids) & set(known))


def left(ledger: Ledger) -> list[str]:
    """Runs that are there, by id."""
    with ledger.read() as tx:
        return sorted(run.run_id for run in list_runs(tx, limit=1000))


def rows_of(ledger: Ledger, run_id: str) -> int:
    with ledger.read() as tx:
        return sum(
            len(read_sql(tx, f"SELECT 1 FROM {table} WHERE run_id = '{run_id}'"))
            for table in ("sync_runs", "sync_run_phases", "entity_outcomes", "entity_failures")
        )


def standing(ledger: Ledger, key: EntityKey) -> Standing:
    with ledger.read() as tx:
        row = ListedEntity(PROJECT.project_id, PROJECT.path, key, at(0))
        return load_standings(tx, [row], ahead=timedelta())[row.identity]


def test_an_old_run_goes_with_all_its_rows_and_the_ledger_stays_whole(ledger: Ledger) -> None:
    for number in range(3):
        brought(ledger, f"run-{number}", when=number)
    done = prune(ledger)
    assert (done.runs, left(ledger)) == (2, ["run-2"])
    assert done.kept == {"the last run of an entity, or something needs it": 1}
    assert [rows_of(ledger, f"run-{number}") for number in range(3)] == [0, 0, 4 - 1]
    with ledger.read() as tx:
        assert check(tx).ok
        assert read_sql(tx, "SELECT COUNT(*) FROM entities") == [(1,)]


def test_a_run_that_is_not_old_or_has_not_ended_stays(ledger: Ledger) -> None:
    begin(ledger, "still running", "acme/rocket#1", when=0)
    with ledger.write("queue") as tx:
        queue_run(
            tx,
            "still queued",
            scope=Scope.parse("acme/rocket#1"),
            mode=RunMode.SURGICAL,
            trigger=Trigger.CLI,
            queued_at=at(0),
            dagster_instance=HERE,
        )
    brought(ledger, "young", when=1000)
    brought(ledger, "the newest", when=1001)
    assert prune(ledger).runs == 0
    assert len(left(ledger)) == 4


def test_the_last_run_of_an_entity_and_the_last_that_brought_it_stay(ledger: Ledger) -> None:
    brought(ledger, "a first", 1, when=0)
    brought(ledger, "b last that brought 1", 1, when=1)
    failed(ledger, "c last of 1", 1, when=2)
    brought(ledger, "d last of 2", 2, when=3)
    brought(ledger, "e young", 3, when=2000)
    assert prune(ledger).runs == 1
    assert left(ledger) == ["b last that brought 1", "c last of 1", "d last of 2", "e young"]


def test_the_last_run_that_found_it_up_to_date_stays_though_it_wrote_no_row(ledger: Ledger) -> None:
    brought(ledger, "a wrote the row", when=10)
    for run_id in ("b", "c last that found it so"):
        fresh = begin(ledger, run_id, "acme/rocket#1", when=5)
        fetch(fresh, issue(1), fetched=1)  # a lagging replica gave an older version
        fresh.finish_succeeded()
    for number in range(TRIES + 1):
        failed(ledger, f"d {number}", when=20 + number)
    assert standing(ledger, issue(1)).complete
    prune(ledger)
    assert left(ledger)[:2] == ["a wrote the row", "c last that found it so"]
    assert standing(ledger, issue(1)).complete


def test_an_entity_of_another_project_is_another_entity(ledger: Ledger) -> None:
    begin(ledger, "a elsewhere", "other/project#1", when=0).finish_failed(FAILED)
    brought(ledger, "b here", 1, when=1)
    brought(ledger, "c here", 1, when=2)
    brought(ledger, "d here", 1, when=3)
    prune(ledger)
    assert left(ledger) == ["a elsewhere", "d here"]


def test_a_run_that_never_learned_the_projects_id_is_one_of_the_same_project(ledger: Ledger) -> None:
    failed(ledger, "a by path", 1, when=0)
    begin(ledger, "b by id", "7#1", when=1).finish_failed(FAILED)
    begin(ledger, "c in other letters", "Acme/Rocket#1", when=2).finish_failed(FAILED)
    brought(ledger, "d brought", 1, when=3)
    prune(ledger)
    assert left(ledger) == ["d brought"]


def test_runs_that_failed_since_are_kept_as_far_as_sensors_count_them(ledger: Ledger) -> None:
    brought(ledger, "run-0", when=0)
    for number in range(1, TRIES + 4):
        failed(ledger, f"run-{number}", when=number)
    before = standing(ledger, issue(1))
    assert prune(ledger).runs == 3
    assert left(ledger) == ["run-0", *(f"run-{number}" for number in range(4, TRIES + 4))]
    after = standing(ledger, issue(1))
    assert (after.complete, after.tried_at) == (before.complete, before.tried_at)
    assert after.tries >= TRIES


def test_the_writer_of_a_row_stays_so_that_it_does_not_seem_complete(ledger: Ledger) -> None:
    """It left a dependent out; later runs did not come as far as the row."""
    writer = begin(ledger, "a writer", "acme/rocket#1", when=0)
    fetch(writer, issue(1), fetched=0)
    report(writer, issue(1), fetched=True, ingested=True, dependent_failures=(LATE,))
    writer.finish_succeeded_with_warnings()
    for number in range(TRIES + 2):
        failed(ledger, f"b {number}", when=number + 1)
    assert not standing(ledger, issue(1)).complete
    prune(ledger)
    assert "a writer" in left(ledger)
    assert not standing(ledger, issue(1)).complete


def test_a_run_stays_that_a_run_repeats_which_is_young_or_has_not_ended(ledger: Ledger) -> None:
    failed(ledger, "a parent of a young one", when=0)
    failed(ledger, "b parent of an open one", when=1)
    failed(ledger, "c parent of an old one", when=2)
    for number in range(TRIES):
        failed(ledger, f"d {number}", when=3)
    failed(ledger, "e old", when=4, parent_run_id="c parent of an old one")
    failed(ledger, "f young", when=2000, parent_run_id="a parent of a young one")
    begin(ledger, "g open", "acme/rocket#1", when=5, parent_run_id="b parent of an open one")
    brought(ledger, "h brought", when=2001)
    prune(ledger)
    assert left(ledger) == [
        "a parent of a young one",
        "b parent of an open one",
        "f young",
        "g open",
        "h brought",
    ]


def test_runs_that_dagster_has_stay(ledger: Ledger) -> None:
    for number in range(4):
        brought(ledger, f"run-{number}", when=number)
    done = prune(ledger, known=["run-1"])
    assert (done.runs, left(ledger)) == (2, ["run-1", "run-3"])
    assert done.kept["Dagster still has it"] == 1


@pytest.mark.parametrize("instance", ["another Dagster", None])
def test_runs_of_other_instances_stay(ledger: Ledger, instance: str | None) -> None:
    for number in range(3):
        brought(ledger, f"run-{number}", when=number)
    done = prune(ledger, instance=instance)
    assert (done.runs, done.kept) == (0, {"of another Dagster instance": 3})


def test_only_runs_of_the_triggers_that_are_named_go(ledger: Ledger) -> None:
    for number, trigger in enumerate([Trigger.SENSOR, Trigger.CLI, Trigger.BACKFILL, Trigger.LAUNCHPAD]):
        brought(ledger, f"run-{number}", when=number, trigger=trigger)
    brought(ledger, "run-4", when=4)
    prune(ledger, triggers=[Trigger.SENSOR, Trigger.BACKFILL])
    assert left(ledger) == ["run-1", "run-3", "run-4"]


def test_a_dry_run_counts_what_would_go_and_deletes_nothing(ledger: Ledger) -> None:
    for number in range(4):
        brought(ledger, f"run-{number}", when=number)
    inbox(ledger)
    windows = ledger.stats.windows
    told = prune(ledger, known=["run-1"], dry_run=True)
    assert (told.runs, told.events, told.windows) == (2, 2, 0)
    assert ledger.stats.windows > windows
    assert len(left(ledger)) == 4
    done = prune(ledger, known=["run-1"])
    assert (done.runs, done.events, done.kept) == (told.runs, told.events, told.kept)


def test_the_newest_run_stays_so_that_no_number_is_given_twice(ledger: Ledger) -> None:
    """Its scope is none, so it is no entity's last."""
    brought(ledger, "run-0", when=0)
    with ledger.write("queue") as tx:
        for number in (1, 2):
            queue_run(
                tx,
                f"run-{number}",
                scope="refused: a...b",
                mode=RunMode.BACKFILL,
                trigger=Trigger.BACKFILL,
                queued_at=at(0),
                dagster_instance=HERE,
            )
    for number in (1, 2):
        SyncRunRecorder(ledger, f"run-{number}", clock=HandClock(at(5))).finish_failed(FAILED)
    prune(ledger)
    assert left(ledger) == ["run-0", "run-2"]
    brought(ledger, "run-3", when=9)
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT run_id, number FROM sync_runs ORDER BY number") == [
            ("run-0", 1),
            ("run-2", 3),
            ("run-3", 4),
        ]


def test_a_cursor_that_names_a_pruned_run_is_no_cursor_of_another_ledger(ledger: Ledger) -> None:
    marks = []
    for number in range(4):
        brought(ledger, f"run-{number}", when=number)
        with ledger.read() as tx:
            marks.append(mark_of(tx))
    prune(ledger)
    assert left(ledger) == ["run-3"]
    with ledger.read() as tx:
        assert [went_back(tx, mark) for mark in marks] == [False] * 4
        assert mark_of(tx) == marks[-1]
        name, newest, run = marks[-1].split("/")
        assert went_back(tx, f"{name}/{int(newest) + 1}/{run}")
        assert went_back(tx, f"{name}/{newest}/another@1.000")


def test_what_failed_is_still_counted_by_day_and_code(ledger: Ledger) -> None:
    failed(ledger, "run-0", when=0)
    for number, day in ((1, 0), (2, 1)):
        recorder = begin(ledger, f"run-{number}", "acme/rocket#1", when=day * 86_400)
        fetch(recorder, issue(1), fetched=number)
        report(recorder, issue(1), fetched=True, ingested=True, dependent_failures=(LATE, LATE))
        recorder.finish_succeeded_with_warnings()
    brought(ledger, "run-9", when=90_000)
    with ledger.read() as tx:
        before = read_sql(tx, "SELECT * FROM daily_failures ORDER BY ALL")
    wish = PruneWish(before=at(100_000))
    assert prune_ledger(ledger, wish, instance=HERE, still_known=lambda _ids: ()).runs == 3
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT * FROM daily_failures ORDER BY ALL") == before
        assert read_sql(tx, "SELECT * FROM pruned_failures ORDER BY ALL") == before
    assert [(str(day), *rest) for day, *rest in before] == [
        ("2026-05-04", "SERVER_ERROR", 1, 1),
        ("2026-05-04", "TIMEOUT", 0, 2),
        ("2026-05-05", "TIMEOUT", 0, 2),
    ]


def inbox(ledger: Ledger) -> None:
    """Events 1 to 6: done, dead, pending, ignored, done and young, done and the newest."""
    states = ["done", "dead", "pending", "ignored", "done", "done"]
    with ledger.write("inbox") as tx:
        insert_events(tx, [issue_event(f"event-{number}", 1) for number in range(1, 7)])
        for seq, state in enumerate(states, start=1):
            when = "NULL" if state == "pending" else f"TIMESTAMPTZ '{at(2000 if seq == 5 else 0).isoformat()}'"
            run_sql(tx, f"UPDATE gitlab_events SET state = '{state}', settled_at = {when} WHERE seq = {seq}")


def event_numbers(ledger: Ledger) -> list[int]:
    with ledger.read() as tx:
        return sorted(event.seq for event in list_events(tx, limit=1000))


def test_settled_events_go_but_for_the_newest_and_no_other_does(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox(ledger)
    monkeypatch.setattr(pruning, "EVENTS_AT_ONCE", 1)
    assert prune(ledger, triggers=[Trigger.CLI]).events == 0
    assert prune(ledger).events == 2
    assert event_numbers(ledger) == [2, 3, 5, 6]
    with ledger.write("inbox") as tx:
        insert_events(tx, [issue_event("event-7", 1)])
        assert list_events(tx, limit=1)[0].seq == 7
        assert [one.seq for one in list_events(tx, limit=9, state=EventState.DEAD)] == [2]


def test_a_run_stays_that_a_dead_letter_names(ledger: Ledger) -> None:
    for number in range(TRIES + 3):
        failed(ledger, f"run-{number}", when=number)
    inbox(ledger)
    with ledger.write("plant") as tx:
        run_sql(tx, "UPDATE gitlab_events SET run_id = 'run-0' WHERE seq = 2")  # dead
        run_sql(tx, "UPDATE gitlab_events SET run_id = 'run-1' WHERE seq = 1")  # done
    prune(ledger)
    with ledger.read() as tx:
        assert find_run(tx, "run-0") is not None
        assert find_run(tx, "run-1") is None


def test_many_runs_go_in_many_windows_whose_size_follows_how_long_they_take(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ledger.write("plant") as tx:
        run_sql(
            tx,
            "INSERT INTO sync_runs (run_id, mode, trigger, status, phase, scope, project_path, dagster_instance, "
            "queued_at, started_at, heartbeat_at, finished_at, number) "
            "SELECT 'run-' || i, 'surgical', 'cli', 'succeeded', 'done', 'acme/rocket#1', 'acme/rocket', "
            f"'{HERE}', t, t, t, t, i "
            f"FROM (SELECT i, TIMESTAMPTZ '{at(0).isoformat()}' AS t FROM generate_series(0, 699) AS r(i)) AS m",
        )
        run_sql(
            tx,
            "INSERT INTO entity_outcomes (run_id, entity_type, iid, fetched, ingested, dependents_stale_skipped, "
            "regenerated_document_ids, embedded_document_ids) "
            "SELECT run_id, 'issue', 1, TRUE, TRUE, ARRAY[]::VARCHAR[], ARRAY[]::VARCHAR[], ARRAY[]::VARCHAR[] "
            "FROM sync_runs",
        )
    asked: list[Sequence[str]] = []

    def known(run_ids: Sequence[str]) -> set[str]:
        asked.append(run_ids)
        return set()

    monkeypatch.setattr(pruning, "AIM_MS", 0.0)
    monkeypatch.setattr(pruning, "_PAGE", 500)
    done = prune_ledger(ledger, PruneWish(before=BEFORE), instance=HERE, still_known=known)
    assert (done.runs, left(ledger)) == (699, ["run-699"])
    assert [len(ids) for ids in asked] == [500, 200]
    assert done.windows >= 699 / 50
    assert done.longest_held_ms > 0


def test_content_that_a_pruned_run_wrote_stays(ledger: Ledger) -> None:
    brought(ledger, "run-0", when=0)
    again = begin(ledger, "run-1", "acme/rocket#1", when=5)
    with again.window("ingest") as tx:
        again.set_project(PROJECT.project_id, PROJECT.path, tx)
    report(again, issue(1), fetched=True, stale_skipped=True)
    count(again, stale_skipped=1)
    again.finish_succeeded()
    brought(ledger, "run-2", when=6)
    with ledger.write("plant") as tx:
        run_sql(tx, "UPDATE dependent_fetches SET run_id = 'run-0'")
    prune(ledger)
    assert left(ledger) == ["run-2"]
    with ledger.read() as tx:
        assert read_sql(tx, "SELECT DISTINCT run_id FROM dependent_fetches") == [("run-0",)]
        assert read_sql(tx, "SELECT iid FROM entities") == [(entity(issue(1)).key.iid,)]
        assert check(tx).ok
