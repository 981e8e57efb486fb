"""Each invariant is broken with plain SQL, as a defect or a person with a shell would."""

import re

import pytest

from surgical_pipeline.domain.dependents import Dependent
from surgical_pipeline.domain.failures import Failure, FailureCode
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityWarning
from surgical_pipeline.domain.scope import EntityType
from surgical_pipeline.events.deliveries import DeliveryCounts
from surgical_pipeline.ledger import invariants, sql
from surgical_pipeline.ledger.content import upsert_project
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.inbox import record_deliveries
from surgical_pipeline.ledger.invariants import CheckReport, check, check_in_steps
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.integration.ledger.examples import PROJECT, at, read_sql, run_sql, start
from surgical_pipeline_tests.integration.ledger.test_checks import save_everything


def checked(ledger: Ledger) -> CheckReport:
    with ledger.read("check") as tx:
        return check(tx)


def found(ledger: Ledger) -> dict[str, int]:
    return {violation.invariant: violation.count for violation in checked(ledger).violations}


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """A row in every table, written by a run that ended with a warning, and a run that still works."""
    return tell(ledger)


def tell(ledger: Ledger) -> Ledger:
    run = start(ledger, "run-1", "acme/rocket#1!2")
    with run.window("all") as tx:
        upsert_project(tx, "run-1", PROJECT, at(0))
        save_everything(tx, issue_iid=1, mr_iid=2)
        late = Failure(code=FailureCode.TIMEOUT, message="late", stage="dependents", dependent="discussions")
        gone = Failure(code=FailureCode.NOT_FOUND, message="no such IID", stage="preflight")
        ids = {"regenerated_document_ids": ("doc#1",), "embedded_document_ids": ("doc#1",)}
        told = (EntityWarning(stage="ingest", message="its updated_at went back"),)
        ids |= {"dependents_stale_skipped": ("links",)}
        one = EntityOutcome(entity_type=EntityType.ISSUE, iid=1, fetched=True, ingested=True, warnings=told, **ids)
        other = EntityOutcome(entity_type=EntityType.MERGE_REQUEST, iid=2, failure=gone)
        run.save_outcomes(tx, [one.model_copy(update={"dependent_failures": (late,)}), other])
        counters = {"fetched": 1, "ingested": 1, "dependent_failures": 1, "dependents_stale_skipped": 1}
        run.add_counters(tx, **counters, documents_regenerated=1, documents_reused=1)
    assert run.finish_succeeded_with_warnings()
    start(ledger, "run-2", "acme/rocket#1+5")
    return ledger


def change(ledger: Ledger, *statements: str) -> None:
    with ledger.write("break") as tx:
        for statement in statements:
            run_sql(tx, statement)


def test_a_ledger_that_tells_the_truth_has_no_violation_and_every_row_was_read(told: Ledger) -> None:
    report = checked(told)
    assert report.ok
    assert report.violations == ()
    assert len(report.checked) == 15
    with told.read() as tx:
        tables = read_sql(
            tx,
            "SELECT table_name FROM information_schema.tables "
            # Times of requests that another test may have left: nothing of a ledger.
            "WHERE table_schema = 'main' AND table_type = 'BASE TABLE' AND table_name <> 'request_pacing'",
        )
        counted = {name: read_sql(tx, f"SELECT 1 FROM {name}") for (name,) in tables}
    assert report.rows == {name: len(rows) for name, rows in counted.items()}


def test_in_steps_it_finds_the_same_and_lets_others_write_in_between(
    told: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = start(told, "run-0", "acme/rocket#1")
    again.finish_cancelled()
    change(
        told,
        "UPDATE entity_outcomes SET ingested = FALSE",
        "UPDATE sync_runs SET scope = 'acme/rocket#7' WHERE run_id IN ('run-0', 'run-1')",
    )
    monkeypatch.setattr(invariants, "_RUNS_AT_ONCE", 1)
    steps: list[tuple[int, int]] = []

    def meanwhile(number: int, of: int, _meaning: str) -> None:
        steps.append((number, of))
        with told.write("somebody else"):
            pass

    report = check_in_steps(told, meanwhile)
    assert report == checked(told)
    counts = {violation.invariant: violation.count for violation in report.violations}
    assert (counts["outcomes_of_scope"], counts["nothing_pending"]) == (2, 1)
    assert steps == [(number, 16) for number in range(1, 17)]


@pytest.mark.parametrize(
    ("statement", "invariants"),
    [
        ("UPDATE sync_runs SET requested = 3 WHERE run_id = 'run-1'", {"outcomes_counted"}),
        ("UPDATE sync_runs SET scope = 'acme/rocket#1!3' WHERE run_id = 'run-1'", {"outcomes_of_scope"}),
        ("UPDATE sync_runs SET scope = 'a...b' WHERE run_id = 'run-1'", {"outcomes_of_scope"}),
        ("DELETE FROM entity_outcomes WHERE iid = 1 AND run_id = 'run-1'",
         {"outcomes_counted", "outcomes_of_scope", "entity_counters", "failure_counters"}),
        ("UPDATE sync_run_phases SET finished_at = NULL", {"endings_finished"}),
        ("UPDATE entity_outcomes SET ingested = FALSE", {"nothing_pending", "entity_counters"}),
        ("UPDATE entity_outcomes SET failure_message = 'else' WHERE iid = 2", {"failures_agree"}),
        ("UPDATE entity_failures SET code = 'TIMEOUT'", {"failures_agree"}),
        ("DELETE FROM entity_failures WHERE position = 0", {"failures_agree", "failure_counters"}),
        ("DELETE FROM documents WHERE document_id = 'doc#1'", {"embeddings_have_documents"}),
        ("UPDATE documents SET deleted_at = now() WHERE iid = 1", {"embeddings_have_documents"}),
        ("UPDATE entities SET deleted_at = now(), missed_at = now(), missed_run_id = 'x' WHERE iid = 1",
         {"deleted_leaves_nothing"}),
        ("UPDATE entities SET deleted_at = now(), missed_at = now(), missed_run_id = 'x' WHERE iid = 2",
         {"deleted_leaves_nothing"}),
        ("INSERT INTO documents SELECT * REPLACE ('again' AS document_id) FROM documents", {"one_document_each"}),
        ("INSERT INTO projects SELECT * REPLACE (99 AS project_id, upper(path) AS path) FROM projects",
         {"one_project_each"}),
        ("UPDATE notes SET discussion_id = 'b'", {"notes_in_discussions"}),
        ("UPDATE notes SET noteable_iid = 9",
         {"notes_in_discussions", "dependents_claimed", "dependents_counted"}),
        ("UPDATE dependent_fetches SET row_count = 0 WHERE dependent = 'diffs'", {"dependents_counted"}),
        ("DELETE FROM linked_records WHERE dependent = 'links'", {"dependents_counted"}),
        ("UPDATE sync_runs SET fetched = 2 WHERE run_id = 'run-1'", {"entity_counters"}),
        ("UPDATE sync_runs SET tombstoned = 2 WHERE run_id = 'run-2'", {"entity_counters"}),
        ("UPDATE sync_runs SET failed = 0 WHERE run_id = 'run-1'", {"entity_counters"}),
        ("UPDATE sync_runs SET documents_embedded = 1 WHERE run_id = 'run-1'", {"entity_counters"}),
        ("UPDATE sync_runs SET documents_regenerated = 9 WHERE run_id = 'run-1'", {"entity_counters"}),
        ("UPDATE sync_runs SET dependent_failures = 0 WHERE run_id = 'run-1'", {"failure_counters"}),
        ("UPDATE sync_runs SET dependents_stale_skipped = 0 WHERE run_id = 'run-1'", {"entity_counters"}),
        ("UPDATE sync_runs SET warnings_count = 0 WHERE run_id = 'run-1'", {"failure_counters"}),
        ("UPDATE entity_outcomes SET warnings = '[]'", {"failure_counters"}),
    ],
)  # fmt: skip
def test_what_breaks_an_invariant_is_found(told: Ledger, statement: str, invariants: set[str]) -> None:
    text = statement if "documents SELECT" not in statement else f"{statement} LIMIT 1"
    change(told, text)
    assert found(told).keys() == invariants


@pytest.mark.parametrize("dependent", list(Dependent))
def test_rows_of_every_dependent_need_their_claim(told: Ledger, dependent: Dependent) -> None:
    event = "UPDATE resource_events SET event_type = 'state_events'"
    changes = {Dependent.STATE_EVENTS: [event], Dependent.MILESTONE_EVENTS: [event.replace("state", "milestone")]}
    change(told, *changes.get(dependent, [f"DELETE FROM dependent_fetches WHERE dependent = '{dependent}'"]))
    assert found(told).keys() - {"dependents_counted"} == {"dependents_claimed"}


def test_a_run_that_asked_for_nothing_may_have_a_text_that_is_no_scope(told: Ledger) -> None:
    zeros = ", ".join(
        f"0 AS {name}"
        for name in (
            *("fetched", "ingested", "failed", "warnings_count"),
            *("dependent_failures", "dependents_stale_skipped", "documents_regenerated", "documents_reused"),
        )
    )
    odd = f"'odd' AS run_id, 'a...b' AS scope, 0 AS requested, {zeros}"
    change(told, f"INSERT INTO sync_runs SELECT * REPLACE ({odd}) FROM sync_runs WHERE run_id = 'run-1'")
    assert found(told) == {}
    change(told, "UPDATE sync_runs SET requested = 1 WHERE run_id = 'odd'")
    assert found(told) == {"outcomes_counted": 1, "outcomes_of_scope": 1}


@pytest.mark.parametrize("backend", ["duckdb"])
def test_a_run_without_time_of_its_end_is_found(new_ledger: DuckDBLedger) -> None:
    """The table's own CHECK forbids it; a damaged file need not keep to that."""
    ledger = loosened(new_ledger, re.compile(r",\s*CHECK \(\(status IN \('queued', 'running'\)\)[^\n]*"), ",")
    tell(ledger)
    change(ledger, "UPDATE sync_runs SET finished_at = NULL")
    assert found(ledger) == {"endings_finished": 1}


@pytest.mark.parametrize("backend", ["duckdb"])
def test_a_key_that_occurs_twice_is_found_in_every_table(told: Ledger) -> None:
    """The tables are made again without their primary keys, as a damaged index would let the rows in."""
    event = (
        "INSERT INTO gitlab_events (event_key, seq, kind, project_id, entity_type, iid, received_at) "
        "VALUES ('e', 1, 'note', 7, 'issue', 1, now())"
    )
    with told.write("twice") as tx:
        run_sql(tx, event)
        run_sql(tx, "INSERT INTO ledger_gitlab (gitlab_url, known_since) VALUES ('https://a', now())")
        run_sql(tx, "INSERT INTO pruned_failures VALUES ('2026-05-04', 'TIMEOUT', 1, 1)")
        record_deliveries(tx, "receiver", DeliveryCounts())
        tables = [
            name
            for (name,) in read_sql(
                tx,
                "SELECT table_name FROM information_schema.tables "
                "WHERE table_schema = 'main' AND table_type = 'BASE TABLE'",
            )
        ]
        for table in tables:
            run_sql(tx, f"CREATE TABLE other AS FROM {table}")
            run_sql(tx, f"DROP TABLE {table}")
            run_sql(tx, f"ALTER TABLE other RENAME TO {table}")
            run_sql(tx, f"INSERT INTO {table} FROM {table} LIMIT 1")
    (violation,) = [one for one in checked(told).violations if one.invariant == "keys_unique"]
    assert violation.count == len(tables)
    assert len(violation.examples) == 10


def loosened(ledger: DuckDBLedger, pattern: re.Pattern[str], replacement: str) -> DuckDBLedger:
    """The same ledger made without some of its constraints."""
    (first,) = [one for one in sql.migrations() if one.version == 1]
    text = pattern.sub(replacement, first.text)
    assert text != first.text
    rest = [one for one in sql.migrations() if one.version > 1]
    return DuckDBLedger(ledger.path, migrations=[sql.Migration(1, first.name, text), *rest])
