"""The checks as Dagster runs them at the end of the real job, each with a violation planted before."""

from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from surgical_pipeline.defs.gateways import RESOURCES
from surgical_pipeline.defs.sync.asset import surgical_sync
from surgical_pipeline.defs.sync.checks import ledger_checks
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.ledger_dump import CONTENT_TABLES, query

EVALUATIONS = dg.DagsterEventType.ASSET_CHECK_EVALUATION
SEVERITIES = {
    "nothing_outside_scope_changed": "ERROR",
    "embeddings_are_current": "WARN",
    "no_vector_without_document": "WARN",
    "no_duplicate_document": "ERROR",
    "no_dead_letter": "WARN",
    "everything_asked_for_is_up_to_date": "WARN",
}

FIGURES = {
    "nothing_outside_scope_changed": ("rows outside the scope", "rows that this run wrote"),
    "embeddings_are_current": ("documents without a current vector", "documents that this run regenerated"),
    "no_vector_without_document": ("vectors without a live document", "vectors in the ledger"),
    "no_duplicate_document": ("documents that are not the only one", "live documents in the ledger"),
    "no_dead_letter": ("dead letters", "events in the inbox"),
    "everything_asked_for_is_up_to_date": ("failures and warnings", "asked for"),
}
"""Of each check: how many violations, and of how many that were looked at."""

ORPHAN = """
    INSERT INTO embeddings VALUES ('issue:1:1', 0, 'wordllama-256', 'hash', 2, [1, 0], now(), 'another')"""
TWIN = """
    INSERT INTO documents SELECT * REPLACE ('twin' AS document_id, 'another' AS run_id)
    FROM documents WHERE document_id LIKE 'issue:%:13'"""
LETTER = """
    INSERT INTO gitlab_events
        (event_key, seq, kind, project_id, entity_type, iid, received_at, state, attempts, settled_at)
    VALUES ('a letter', 1, 'note', 1, 'issue', 1, now(), 'dead', 5, now())"""
GONE = "DELETE FROM notes WHERE noteable_iid = 13"
STRAY = "UPDATE entities SET run_id = '{run_id}' WHERE iid = 13"
STALE = "UPDATE embeddings SET content_hash = 'of another text' WHERE document_id LIKE 'issue:%:12'"


def evaluations(run_id: str) -> dict[str, dg.AssetCheckEvaluation]:
    with dg.DagsterInstance.get() as instance:
        records = instance.get_records_for_run(run_id, of_type=EVALUATIONS).records
    found = [record.event_log_entry.dagster_event for record in records]
    return {
        event.asset_check_evaluation_data.check_name: event.asset_check_evaluation_data for event in found if event
    }


def checked_again(run_id: str) -> dict[str, dg.AssetCheckEvaluation]:
    """The checks alone, as if they were the end of that run."""
    definitions = dg.Definitions(
        assets=[surgical_sync],
        asset_checks=[ledger_checks],
        resources=RESOURCES,
        jobs=[dg.define_asset_job("only_checks", selection=dg.AssetSelection.all_asset_checks())],
        executor=dg.in_process_executor,
    )
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("only_checks")
        done = job.execute_in_process(instance=instance, run_id=run_id)
    return {one.check_name: one for one in done.get_asset_check_evaluations()}


def figures(evaluation: dg.AssetCheckEvaluation) -> list[object]:
    return [evaluation.metadata[name].value for name in FIGURES[evaluation.check_name]]


def rows_of(ledger: DuckDBLedger, table: str) -> int:
    ((rows,),) = query(ledger.path, f"SELECT COUNT(*) FROM {table}")
    assert isinstance(rows, int)
    return rows


def plant(ledger: DuckDBLedger, statement: str) -> None:
    with duckdb.connect(str(ledger.path)) as connection:
        connection.execute(statement)


def test_every_run_ends_with_all_checks_in_one_window(home: Path, sync: Sync, ledger: DuckDBLedger) -> None:
    found = evaluations(sync("acme/rocket#12").run_id)
    assert {name: one.severity.value for name, one in found.items()} == SEVERITIES
    assert all(one.passed for one in found.values())
    assert all(one.description is None for one in found.values())
    documents, vectors = rows_of(ledger, "documents"), rows_of(ledger, "embeddings")
    rows = sum(rows_of(ledger, table) for table in (*CONTENT_TABLES, "dependent_fetches"))
    assert {name: figures(one) for name, one in found.items()} == {
        "nothing_outside_scope_changed": [0, rows],
        "embeddings_are_current": [0, documents],
        "no_vector_without_document": [0, vectors],
        "no_duplicate_document": [0, documents],
        "no_dead_letter": [0, 0],
        "everything_asked_for_is_up_to_date": [0, 1],
    }
    assert documents > 1
    assert home == ledger.path.parent


@pytest.mark.parametrize(
    ("planted", "check", "violations"),
    [
        (ORPHAN, "no_vector_without_document", 1),
        (TWIN, "no_duplicate_document", 2),
        (LETTER, "no_dead_letter", 1),
    ],
    ids=["an orphan vector", "a duplicate document", "a dead letter"],
)
def test_what_was_wrong_before_the_run_is_found_by_it(
    sync: Sync, ledger: DuckDBLedger, planted: str, check: str, violations: int
) -> None:
    sync("acme/rocket#13")
    plant(ledger, planted)
    found = evaluations(sync("acme/rocket#12").run_id)
    assert [name for name, one in found.items() if not one.passed] == [check]
    assert figures(found[check])[0] == violations
    assert found[check].description


@pytest.mark.parametrize(
    ("planted", "check"),
    [(STRAY, "nothing_outside_scope_changed"), (STALE, "embeddings_are_current")],
    ids=["a row outside the scope", "a vector of another text"],
)
def test_what_the_run_itself_did_wrong_is_found(
    sync: Sync, ledger: DuckDBLedger, planted: str, check: str
) -> None:
    sync("acme/rocket#13")
    run_id = sync("acme/rocket#12").run_id
    plant(ledger, planted.format(run_id=run_id))
    found = checked_again(run_id)
    assert [name for name, one in found.items() if not one.passed] == [check]
    assert figures(found[check])[0] == 1
    assert found[check].description


def test_rows_that_another_issue_has_lost_are_found(sync: Sync, ledger: DuckDBLedger) -> None:
    sync("acme/rocket#13")
    notes = rows_of(ledger, "notes")
    plant(ledger, GONE)
    found = evaluations(sync("acme/rocket#12").run_id)["nothing_outside_scope_changed"]
    assert not found.passed
    assert found.metadata["rows outside the scope that are gone"].value == notes > 0
    assert found.description


def test_a_run_with_failures_is_told_apart_from_a_clean_one(sync: Sync, home: Path) -> None:
    """In the list of runs by a tag, on the asset's page by a check."""
    clean, warned = sync("acme/rocket#12").run_id, sync("acme/rocket#12+9999").run_id
    found = evaluations(warned)
    assert [name for name, one in found.items() if not one.passed] == ["everything_asked_for_is_up_to_date"]
    assert figures(found["everything_asked_for_is_up_to_date"]) == [1, 2]
    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = [instance.get_run_by_id(run_id) for run_id in (clean, warned)]
    outcomes = [run and run.tags["surgical/outcome"] for run in runs]
    assert outcomes == ["succeeded", "succeeded_with_warnings"]


def test_each_asset_has_figures_of_the_run(sync: Sync, home: Path) -> None:
    run_id = sync("acme/rocket#12!34").run_id
    with dg.DagsterInstance.from_config(str(home)) as instance:
        records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        event = record.event_log_entry.dagster_event
        assert event is not None
        found[str(event.asset_key and event.asset_key.to_user_string())] = {
            name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
        }
    assert found["gitlab/issues"]["written"] == found["gitlab/merge_requests"]["written"] == 1
    assert found["gitlab/discussions"]["entities"] == found["gitlab/resource_events"]["entities"] == 2
    assert found["gitlab/discussions"]["http_requests"] > 2
    assert found["documents"]["documents_regenerated"] == found["embeddings"]["documents_embedded"]
    for key in ("gitlab/issues", "gitlab/discussions", "documents"):
        assert 0 < found[key]["lock_share"] < 1
        assert found[key]["seconds"] > 0
