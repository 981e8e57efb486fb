"""Runs of the backfill job in Dagster's catalog, and what the job takes from a backfill's config."""

from collections import Counter

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.backfills import config_of, plan
from surgical_pipeline.defs.sync.backfill_job import SCOPES, surgical_backfill_job
from surgical_pipeline.domain.backfill import Wish
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.ledger_dump import query

KEY = "acme/rocket#12+13!34"
ASSETS = {
    "gitlab/issues",
    "gitlab/merge_requests",
    "gitlab/discussions",
    "gitlab/resource_events",
    "documents",
    "embeddings",
}
CHECKS = {
    "nothing_outside_scope_changed",
    "embeddings_are_current",
    "no_vector_without_document",
    "no_duplicate_document",
    "no_dead_letter",
    "everything_asked_for_is_up_to_date",
}


def run(instance: dg.DagsterInstance, key: str = KEY, *, only_changed: bool = False) -> dg.ExecuteInProcessResult:
    instance.add_dynamic_partitions(str(SCOPES.name), [key])
    wish = Wish(scopes=(Scope.parse(key),), only_changed=only_changed)
    config = config_of(plan(wish, Settings.from_environment()))
    return surgical_backfill_job_in_place().execute_in_process(
        instance=instance, partition_key=key, run_config=config, raise_on_error=False
    )


def surgical_backfill_job_in_place() -> dg.JobDefinition:
    return defs.resolve_job_def(surgical_backfill_job.name)


def materializations(done: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    events = done.filter_events(lambda event: event.is_step_materialization)
    return [event.step_materialization_data.materialization for event in events]


def evaluations(done: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    return [
        event.asset_check_evaluation_data for event in done.filter_events(lambda event: event.event_type is kind)
    ]


def test_a_run_materializes_the_six_assets_once_with_its_key_and_figures(instance: dg.DagsterInstance) -> None:
    done = run(instance)
    found = materializations(done)
    assert Counter(one.asset_key.to_user_string() for one in found) == Counter(ASSETS)
    assert {one.partition for one in found} == {KEY}
    assert {one.metadata["ingested"].value for one in found} == {3}
    by_name = {one.asset_key.path[-1]: one.metadata for one in found}
    assert (by_name["issues"]["written"].value, by_name["merge_requests"]["written"].value) == (2, 1)
    assert by_name["issues"]["dagster/row_count"].value == 2
    vectors = by_name["embeddings"]["dagster/row_count"].value
    assert isinstance(vectors, int)
    assert vectors > 3
    for key in ASSETS:
        latest = instance.get_latest_materialization_event(dg.AssetKey(key.split("/")))
        assert latest is not None
        assert latest.run_id == done.run_id


def test_the_outcome_table_is_told_once(instance: dg.DagsterInstance) -> None:
    tables = [
        one.asset_key.to_user_string()
        for one in materializations(run(instance))
        if isinstance(one.metadata.get("entities"), dg.MarkdownMetadataValue)
    ]
    assert tables == ["embeddings"]


def test_the_same_checks_run_and_show_beside_their_assets(instance: dg.DagsterInstance) -> None:
    done = run(instance)
    found = evaluations(done)
    assert Counter(one.check_name for one in found) == Counter(CHECKS)
    assert all(one.passed for one in found)
    for one in found:
        records = instance.event_log_storage.get_asset_check_execution_history(one.asset_check_key, limit=1)
        assert records[0].run_id == done.run_id


def test_a_run_with_warnings_is_in_the_catalog_too(instance: dg.DagsterInstance, sandbox: RunningSandbox) -> None:
    sandbox.control.delete_issue(13)
    done = run(instance)
    assert done.success
    found = materializations(done)
    assert len(found) == len(ASSETS)
    assert {one.metadata["outcome"].value for one in found} == {"succeeded_with_warnings"}


def test_a_run_that_failed_is_not(instance: dg.DagsterInstance, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("/api/v4/projects/*", status=401)
    instance.add_dynamic_partitions(str(SCOPES.name), [KEY])
    done = surgical_backfill_job_in_place().execute_in_process(
        instance=instance, partition_key=KEY, raise_on_error=False
    )
    assert not done.success
    assert (materializations(done), evaluations(done)) == ([], [])


@pytest.mark.parametrize("only_changed", [True, False])
def test_an_option_of_the_backfill_reaches_the_run(
    instance: dg.DagsterInstance, ledger: DuckDBLedger, *, only_changed: bool
) -> None:
    run(instance)
    done = run(instance, only_changed=only_changed)
    rows = query(ledger.path, f"SELECT DISTINCT unchanged FROM entity_outcomes WHERE run_id = '{done.run_id}'")
    assert rows == [(only_changed,)]


def test_the_job_keeps_no_config_by_key(instance: dg.DagsterInstance) -> None:
    """It would win over the backfill's own, and nobody would see it."""
    instance.add_dynamic_partitions(str(SCOPES.name), [KEY])
    job = surgical_backfill_job_in_place()
    assert job.partitioned_config is not None
    assert job.partitioned_config.get_run_config_for_partition_key(KEY) == {}
