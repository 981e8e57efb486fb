"""What a report says of a real ledger, against what was written into it."""

from datetime import timedelta

import pytest

from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.lifecycle import Phase, RunMode, Trigger
from surgical_pipeline.domain.outcomes import EntityOutcome, HttpStats
from surgical_pipeline.domain.scope import EntityType, Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.errors import AmbiguousRunError
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.report.making import make_run_report
from surgical_pipeline.report.page import render
from surgical_pipeline.report.period import Period
from surgical_pipeline.report.reading import MAX_ENTITIES, MAX_RUNS, LedgerFacts, read_period
from surgical_pipeline.report.values import PeriodReport
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, HandClock, at, run_sql
from surgical_pipeline_tests.report_ledger import MODEL, fill

GITLAB = "https://gitlab.example.com"
LATE = Failure(code=FailureCode.TIMEOUT, message="20 s ran out", stage="dependents", dependent="discussions")
GONE = Failure(code=FailureCode.NOT_FOUND, message="no such IID", stage="preflight")


def read(
    ledger: DuckDBLedger, *, since: float = -3600, until: float = 3600, model: str | None = MODEL
) -> PeriodReport:
    facts = LedgerFacts("there", gitlab_url=GITLAB, model=model, file_bytes=None)
    with ledger.read() as tx:
        return read_period(tx, Period(at(since), at(until)), facts=facts, made_at=at(until))


def do_run(
    ledger: DuckDBLedger,
    run_id: str,
    scope: str,
    *outcomes: EntityOutcome,
    start: float = 0,
    seconds: float = 2,
    failure: Failure | None = None,
) -> None:
    """A run from its start to its end, with these outcomes; the other entities are synced."""
    clock = HandClock(at(start))
    parsed = Scope.parse(scope)
    keys = tuple(parsed.keys())
    recorder = SyncRunRecorder(ledger, run_id, clock=clock)
    recorder.start_surgical(parsed, mode=RunMode.SURGICAL, trigger=Trigger.CLI, queued_at=at(start - 3))
    told = {one.key: one for one in outcomes}
    with recorder.window("test") as tx:
        recorder.set_project(PROJECT.project_id, PROJECT.path, tx)
        recorder.set_phase(Phase.DEPENDENTS, tx)
        recorder.save_outcomes(
            tx,
            [
                told.get(key, EntityOutcome(entity_type=key.entity_type, iid=key.iid, fetched=True, ingested=True))
                for key in keys
            ],
        )
        recorder.add_counters(tx, requested=0, documents_regenerated=1)
    recorder.count_requests(HttpStats(requests=10, retries=2, rate_limited=1))
    clock.advance(seconds)
    if failure:
        recorder.finish_failed(failure)
    else:
        recorder.conclude()


def issue_outcome(iid: int, **values: object) -> EntityOutcome:
    return EntityOutcome(entity_type=EntityType.ISSUE, iid=iid, **({"fetched": True, "ingested": True} | values))


def test_an_entity_counts_once_as_its_last_run_left_it(ledger: DuckDBLedger) -> None:
    late = issue_outcome(1, dependent_failures=(LATE,))
    gone = issue_outcome(2, fetched=False, ingested=False, failure=GONE)
    do_run(ledger, "run-1", "acme/rocket#1+2+3", late, gone)
    do_run(ledger, "run-2", "acme/rocket#1+4+5", issue_outcome(4, unchanged=True), late, start=60)
    do_run(ledger, "run-3", "acme/rocket#1", start=120)
    states = read(ledger).states
    assert (states.synced, states.unchanged, states.incomplete, states.failed) == (3, 1, 0, 1)
    (trouble,) = read(ledger).not_up_to_date.items
    assert (trouble.entity.name, trouble.own, trouble.code) == ("acme/rocket#2", True, FailureCode.NOT_FOUND)
    assert trouble.entity.url == f"{GITLAB}/acme/rocket/-/issues/2"
    before = read(ledger, until=100)
    assert [one.entity.name for one in before.not_up_to_date.items] == ["acme/rocket#1", "acme/rocket#2"]


def test_what_gitlab_deleted_is_no_trouble(ledger: DuckDBLedger) -> None:
    gone = issue_outcome(2, fetched=False, ingested=False, tombstoned=True, failure=GONE)
    do_run(ledger, "run-1", "acme/rocket#1+2", gone)
    report = read(ledger)
    assert (report.states.deleted, report.states.synced) == (1, 1)
    assert report.not_up_to_date.total == 0
    assert [one.code for one in report.failures] == [FailureCode.NOT_FOUND]


def test_entities_of_a_run_that_goes_on_are_pending(ledger: DuckDBLedger) -> None:
    recorder = SyncRunRecorder(ledger, "run-1", clock=HandClock())
    recorder.start_surgical(Scope.parse("acme/rocket#1+2"), mode=RunMode.SURGICAL, trigger=Trigger.CLI)
    report = read(ledger)
    assert report.states.pending == 2
    assert report.durations is None
    assert report.newest_runs.items[0].seconds is None
    assert "Not known: no run of this period has ended." in render(report)


def test_failures_are_counted_by_code_with_advice_and_the_latest_example(ledger: DuckDBLedger) -> None:
    do_run(ledger, "run-1", "acme/rocket#1+2", issue_outcome(1, dependent_failures=(LATE, LATE)))
    again = LATE.model_copy(update={"message": "20 s ran out again"})
    do_run(ledger, "run-2", "acme/rocket#2", issue_outcome(2, dependent_failures=(again,)), start=60)
    lost = Failure(code=FailureCode.WORKER_LOST, message="its process is gone", stage="dependents")
    do_run(ledger, "run-3", "acme/rocket#3", start=120, failure=lost)
    kinds = {one.code: one for one in read(ledger).failures}
    late = kinds[FailureCode.TIMEOUT]
    assert (late.failures, late.entities, late.runs, late.runs_ended, late.retryable) == (3, 2, 2, 0, True)
    assert (late.advice, late.example_message) == (FailureCode.TIMEOUT.advice, "20 s ran out again")
    assert late.example is not None
    assert late.example.name == "acme/rocket#2"
    assert (kinds[FailureCode.WORKER_LOST].runs_ended, kinds[FailureCode.WORKER_LOST].failures) == (1, 1)


def test_only_runs_of_the_period_count_and_each_slot_has_its_own(ledger: DuckDBLedger) -> None:
    for number, start in enumerate((-3601, -3600, 0, 3599, 3600)):
        do_run(ledger, f"run-{number}", "acme/rocket#1", start=start)
    report = read(ledger)
    assert report.runs == 3
    assert [sum(slot.runs.values()) for slot in report.slots if slot.runs] == [1, 1, 1]
    assert report.http == HttpStats(requests=30, retries=6, rate_limited=3)
    assert sum(slot.requests for slot in report.slots) == 30
    assert report.durations is not None
    assert (report.durations.measured, report.durations.median) == (3, 2)


def test_slow_is_what_had_a_run_for_itself_or_ran_out_of_time(ledger: DuckDBLedger) -> None:
    do_run(ledger, "run-1", "acme/rocket#1", seconds=9)
    do_run(ledger, "run-2", "acme/rocket#1", seconds=4, start=60)
    do_run(ledger, "run-3", "acme/rocket#2+3", issue_outcome(3, dependent_failures=(LATE,)), seconds=99, start=120)
    report = read(ledger)
    assert [(one.entity.name, one.seconds, one.runs) for one in report.slowest] == [("acme/rocket#1", 9, 2)]
    assert [(one.entity.name, one.runs) for one in report.out_of_time] == [("acme/rocket#3", 1)]


def test_lags_are_measured_between_what_the_ledger_knows(ledger: DuckDBLedger) -> None:
    do_run(ledger, "run-1", "acme/rocket#1")
    do_run(ledger, "run-2", "acme/rocket#2", start=60)
    with ledger.write("plant") as tx:
        run_sql(tx, "UPDATE sync_runs SET trigger = 'sensor'")
        run_sql(tx, "UPDATE sync_runs SET events_upto = 1 WHERE run_id = 'run-1'")
        run_sql(
            tx,
            "INSERT INTO gitlab_events (event_key, seq, kind, project_id, entity_type, iid, received_at, state, "
            "run_id, settled_at) SELECT 'e', 1, 'note', 7, 'issue', 1, queued_at - INTERVAL '4 SECOND', 'done', "
            "run_id, finished_at FROM sync_runs WHERE run_id = 'run-1'",
        )
        for iid, replaced in (
            (1, "NULL"),
            (2, "queued_at - INTERVAL '1 DAY'"),
            (3, "queued_at - INTERVAL '9 SECOND'"),
        ):
            run_sql(
                tx,
                "INSERT INTO entities (project_id, entity_type, iid, gitlab_id, title, state, updated_at, "
                "confidential, run_id, fetched_at, replaced_updated_at, payload) "
                f"SELECT 7, 'issue', {iid}, {iid}, '', '', queued_at - INTERVAL '9 SECOND', FALSE, run_id, "
                f"started_at, {replaced}, '{{}}' "
                "FROM sync_runs WHERE run_id = 'run-2'",
            )
    lags = {one.lag: (one.spread.measured, one.spread.median) for one in read(ledger).lags}
    assert lags == {
        "event_to_request": (1, 4),
        "event_to_done": (1, 9),
        "change_to_request": (1, 9),
        "request_to_start": (2, 3),
    }


def test_an_empty_ledger_has_a_report_that_says_so(ledger: DuckDBLedger) -> None:
    report = read(ledger, model=None)
    assert (report.runs, report.backlog, report.lags, report.durations) == (0, None, (), None)
    assert "No run started in this period." in render(report)


def test_one_run_has_its_stages_and_its_document(ledger: DuckDBLedger) -> None:
    do_run(ledger, "run-1", "acme/rocket#1+2", issue_outcome(1, dependent_failures=(LATE,)))
    report = make_run_report(ledger, "run-1", gitlab_url=GITLAB)
    assert report is not None
    assert [stage.stage for stage in report.run.stages] == ["preflight", "dependents"]
    assert [one.entity for one in report.result.entity_outcomes] == ["acme/rocket#1", "acme/rocket#2"]
    assert make_run_report(ledger, "nope", gitlab_url=None) is None
    do_run(ledger, "run-2", "acme/rocket#1", start=60)
    with pytest.raises(AmbiguousRunError):
        make_run_report(ledger, "run-", gitlab_url=None)


def test_a_text_of_any_length_is_cut(ledger: DuckDBLedger) -> None:
    endless = LATE.model_copy(update={"message": "x" * 100_000})
    do_run(ledger, "run-1", "acme/rocket#1", issue_outcome(1, dependent_failures=(endless,)))
    assert len(read(ledger).not_up_to_date.items[0].message) < 1000
    assert len(render(read(ledger))) < 400_000


@pytest.mark.parametrize("backend", ["duckdb"])  # its rows are planted in DuckDB\'s SQL
def test_ten_thousand_runs_make_a_page_below_two_megabytes_that_says_what_it_leaves_out(
    ledger: DuckDBLedger,
) -> None:
    fill(ledger, runs=10_000, until=at(3600), entities=9000, message=f" {'<&é' * 150}")
    windows = ledger.stats.windows
    report = read(ledger, since=3600 - 7 * 86_400)
    assert ledger.stats.windows == windows + 1
    assert report.runs == 10_000
    page = render(report)
    assert len(page.encode()) < 2_000_000
    assert (len(report.newest_runs.items), report.newest_runs.left_out) == (MAX_RUNS, 10_000 - MAX_RUNS)
    assert len(report.not_up_to_date.items) == MAX_ENTITIES
    assert report.not_up_to_date.total == report.states.failed + report.states.incomplete > MAX_ENTITIES
    assert f"{report.not_up_to_date.left_out:,} more entities are left out here." in page
    assert sum(sum(slot.runs.values()) for slot in report.slots) == 10_000
    assert timedelta(seconds=report.slot_seconds) >= timedelta(hours=3)
