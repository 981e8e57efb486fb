"""What became of many entities in many runs, each by its last run."""

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.outcomes import EntityOutcome
from surgical_pipeline.domain.scope import EntityType, Scope
from surgical_pipeline.ledger.backfills import RunOf, load_last_failures, load_progress, load_runs
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.ledger.runs import queue_run
from surgical_pipeline_tests.integration.ledger.examples import at, start

LATE = Failure(code=FailureCode.TIMEOUT, message="too slow", stage="dependents", dependent="discussions")
NOT_THERE = Failure(code=FailureCode.NOT_FOUND, message="no such", stage="preflight")
DOWN = Failure(code=FailureCode.NETWORK_ERROR, message="down", stage="preflight")


def issue(iid: int, *, failure: Failure | None = None, dependent: Failure | None = None) -> EntityOutcome:
    return EntityOutcome(
        entity_type=EntityType.ISSUE,
        iid=iid,
        fetched=failure is None,
        ingested=failure is None,
        unchanged=iid == 9,
        failure=failure,
        dependent_failures=(dependent,) if dependent else (),
    )


def save(run: SyncRunRecorder, *outcomes: EntityOutcome) -> None:
    with run.window("save") as tx:
        run.save_outcomes(tx, list(outcomes))


def of(*runs: str, project: str = "acme/rocket") -> list[RunOf]:
    return [RunOf(run, project) for run in runs]


def test_each_state_is_counted(ledger: Ledger) -> None:
    first = start(ledger, "run-1", "acme/rocket#1-4+9")
    save(first, issue(1), issue(2, failure=NOT_THERE), issue(3, dependent=LATE), issue(4, failure=DOWN), issue(9))
    first.finish_succeeded_with_warnings()
    save(start(ledger, "run-2", "acme/rocket#5+6"), issue(5))
    with ledger.write("queue") as tx:
        scope = Scope.parse("acme/rocket#7")
        queue_run(tx, "run-3", scope=scope, mode=RunMode.BACKFILL, trigger=Trigger.BACKFILL, queued_at=at(0))
    with ledger.read() as tx:
        found = load_progress(tx, of("run-1", "run-2", "run-3"), entities=10)
    assert (found.done, found.unchanged, found.missing, found.failed) == (2, 1, 1, 2)
    assert (found.running, found.written, found.waiting) == (2, 1, 3)
    assert (found.runs_ended, found.ended) == (1, 5)
    assert found.failures == {"NOT_FOUND": 1, "TIMEOUT": 1, "NETWORK_ERROR": 1}


def test_the_last_run_of_an_entity_counts_and_projects_stay_apart(ledger: Ledger) -> None:
    first = start(ledger, "run-1", "acme/rocket#1+2")
    save(first, issue(1, failure=DOWN), issue(2))
    first.finish_succeeded_with_warnings()
    again = start(ledger, "run-2", "acme/rocket#1")
    save(again, issue(1))
    again.finish_succeeded()
    other = start(ledger, "run-3", "acme/other#1")
    save(other, issue(1, failure=NOT_THERE))
    other.finish_succeeded_with_warnings()
    runs = of("run-1", "run-2") + of("run-3", project="acme/other")
    with ledger.read() as tx:
        forwards = load_progress(tx, runs, entities=3)
        backwards = load_progress(tx, [runs[1], runs[0]], entities=2)
        failures = load_last_failures(tx, runs)
    assert (forwards.done, forwards.missing, forwards.failed) == (2, 1, 0)
    assert (backwards.done, backwards.failed) == (1, 1)
    assert [(one.project, one.iid, one.code) for one in failures] == [("acme/other", 1, "NOT_FOUND")]


def test_failures_say_whose_they_are(ledger: Ledger) -> None:
    first = start(ledger, "run-1", "acme/rocket#1+2")
    save(first, issue(1, dependent=LATE))
    first.finish_failed(Failure(code=FailureCode.UNAUTHORIZED, message="401", stage="dependents"))
    with ledger.read() as tx:
        failures = load_last_failures(tx, of("run-1"))
    assert [(one.iid, one.code, one.own, one.run_failed, one.worth_another_try) for one in failures] == [
        (1, "UNAUTHORIZED", True, True, True),
        (1, "TIMEOUT", False, True, True),
        (2, "UNAUTHORIZED", True, True, True),
    ]


def test_runs_that_the_ledger_does_not_know_have_entities_that_wait(ledger: Ledger) -> None:
    start(ledger, "run-1", "acme/rocket#1")
    with ledger.read() as tx:
        assert load_progress(tx, of("run-8"), entities=5).waiting == 5
        assert load_progress(tx, [], entities=5).waiting == 5
        assert [run.run_id for run in load_runs(tx, ["run-1", "run-8"])] == ["run-1"]
