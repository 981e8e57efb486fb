"""The planner against a sandbox and Dagster's own storage."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from surgical_pipeline.defs.backfill_life import prune
from surgical_pipeline.defs.backfill_records import find_backfill, list_backfills
from surgical_pipeline.defs.backfills import launch, plan
from surgical_pipeline.defs.plan_backfill import PLANNED_TAG, plan_backfill
from surgical_pipeline.domain.backfill import BackfillError, Wish, named_scope
from surgical_pipeline.domain.scope import EntityKey, EntityType, Scope
from surgical_pipeline.gitlab import changes
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.settings import Settings

PROJECT = "acme/rocket"


def planned(*texts: str, **wish: Any) -> Any:
    return plan(Wish(scopes=tuple(map(Scope.parse, texts)), **wish), Settings.from_environment())


def keys_of(instance: dg.DagsterInstance) -> list[str]:
    return sorted(instance.get_dynamic_partitions("scopes"))


@pytest.mark.usefixtures("home")
def test_named_entities_cost_one_request_for_each_project() -> None:
    found = planned("acme/rocket#1-60", "acme/rocket!1-10", chunk=50)
    assert found.chunks == ("acme/rocket#1-50", "acme/rocket#51-60!1-10")
    assert (found.entities, found.planning_requests) == (70, 2)


@pytest.mark.usefixtures("home")
def test_the_same_project_under_another_spelling_has_the_same_keys(sandbox: RunningSandbox) -> None:
    sandbox.control.rename_project("missile")
    found = planned("acme/rocket#1-3", "acme/missile#3-5")
    assert found.chunks == ("acme/missile#1-5",)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("keyset", [True, False])
def test_all_are_those_that_gitlab_lists_and_the_requests_are_counted(
    sandbox: RunningSandbox, *, keyset: bool
) -> None:
    changes._without_keyset.clear()
    sandbox.control.set_behaviour(keyset=keyset)
    (before,) = plan(Wish(projects=(PROJECT,), chunk=1000), Settings.from_environment()).chunks
    sandbox.control.delete_issue(12)
    sandbox.control.clear_requests()
    found = plan(Wish(projects=(PROJECT,), chunk=1000), Settings.from_environment())
    (after,) = found.chunks
    assert set(Scope.parse(before).keys()) - set(Scope.parse(after).keys()) == {EntityKey(EntityType.ISSUE, 12)}
    assert found.entities > 190
    assert found.planning_requests == sandbox.control.requests().count > 3


@pytest.mark.usefixtures("home")
def test_rows_that_move_while_they_are_listed_are_all_planned(sandbox: RunningSandbox) -> None:
    made = {sandbox.control.create_merge_request(title=f"number {number}")["iid"] for number in range(120)}
    sandbox.control.add_fault("/api/v4/projects/*/merge_requests", delay_ms=50)
    found = plan(Wish(projects=(PROJECT,), chunk=1000), Settings.from_environment())
    (scope,) = map(Scope.parse, found.chunks)
    assert made <= set(scope.mr_iids)


@pytest.mark.usefixtures("home")
def test_only_what_changed_since_is_planned(sandbox: RunningSandbox) -> None:
    since = datetime.now(UTC)
    sandbox.control.update_issue(13, title="changed")
    found = plan(Wish(projects=(PROJECT,), updated_after=since), Settings.from_environment())
    assert found.chunks == ("acme/rocket#13",)
    assert planned("acme/rocket#12-14", updated_after=since).chunks == ("acme/rocket#13",)
    assert planned("acme/rocket#14", updated_after=since).chunks == ()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (Wish(projects=("acme/none",)), "PROJECT_NOT_FOUND"),
        (Wish(scopes=(named_scope("acme/none", issues="1"),)), "PROJECT_NOT_FOUND"),
    ],
)
def test_a_project_that_gitlab_does_not_show_ends_the_plan(wish: Wish, code: str) -> None:
    with pytest.raises(BackfillError, match=code):
        plan(wish, Settings.from_environment())


@pytest.mark.usefixtures("home")
def test_a_page_that_fails_is_asked_for_again(sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("/api/v4/projects/*/issues", status=502, times=1)
    assert plan(Wish(projects=(PROJECT,)), Settings.from_environment()).entities > 190


def test_a_launch_registers_the_chunks_and_asks_for_one_backfill(instance: dg.DagsterInstance) -> None:
    found = planned("acme/rocket#1-60", chunk=20, only_changed=True)
    launched = launch(instance, found)
    backfill = find_backfill(instance, launched.backfill_id)
    assert keys_of(instance) == sorted(found.chunks)
    assert (backfill.keys, backfill.entities, backfill.only_changed) == (list(found.chunks), 60, True)
    assert backfill.record.job_name == "surgical_backfill_job"
    assert (backfill.record.tags["surgical/background"], backfill.record.tags["dagster/priority"]) == (
        "true",
        "-10",
    )


def test_a_planner_that_died_can_be_called_again(instance: dg.DagsterInstance) -> None:
    first = launch(instance, planned("acme/rocket#1-60", chunk=20))
    again = launch(instance, planned("acme/rocket#1-60", chunk=20))
    assert (again.backfill_id, again.under_way) == (first.backfill_id, True)
    other = launch(instance, planned("acme/rocket#1-60", chunk=20, only_changed=True))
    assert not other.under_way
    assert len(list_backfills(instance)) == 2
    assert len(keys_of(instance)) == 3


def test_only_keys_that_nothing_needs_are_pruned(instance: dg.DagsterInstance, ledger: DuckDBLedger) -> None:
    first = launch(instance, planned("acme/rocket#1-40", chunk=20)).backfill_id
    with pytest.raises(BackfillError, match="wait for its end, or cancel it"):
        prune(instance, ledger, find_backfill(instance, first))


def test_the_job_of_the_launchpad_plans_launches_and_links(instance: dg.DagsterInstance) -> None:
    config = {"project": PROJECT, "issues": "1-3, 7", "merge_requests": "5", "chunk": 3}
    done = plan_backfill.execute_in_process(
        run_config={"ops": {"plan_and_launch": {"config": config}}}, instance=instance
    )
    (backfill,) = list_backfills(instance)
    assert backfill.keys == ["acme/rocket#1-3", "acme/rocket#7!5"]
    (output,) = done.filter_events(lambda event: event.is_successful_output)
    metadata = output.step_output_data.metadata
    assert metadata["backfill"].value == f"/runs/b/{backfill.id}"
    assert metadata["runs"].value == 2
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    assert run.tags[PLANNED_TAG] == backfill.id


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"project": PROJECT}, "name issues or merge requests"),
        ({"project": PROJECT, "all": True, "issues": "1"}, "not both"),
        ({"project": PROJECT, "issues": "x"}, "positive whole number"),
        ({"project": "nonsense", "all": True}, "a project is group/project"),
        ({"project": PROJECT, "all": True, "updated_after": "soon"}, "updated_after must be a date"),
        ({"project": "acme/none", "all": True}, "PROJECT_NOT_FOUND"),
    ],
)
def test_what_the_launchpad_cannot_plan_fails_with_a_sentence(
    instance: dg.DagsterInstance, config: dict[str, object], sentence: str
) -> None:
    done = plan_backfill.execute_in_process(
        run_config={"ops": {"plan_and_launch": {"config": config}}}, instance=instance, raise_on_error=False
    )
    assert not done.success
    assert sentence in str(done.failure_data_for_node("plan_and_launch"))
    assert list_backfills(instance) == []
    assert keys_of(instance) == []
