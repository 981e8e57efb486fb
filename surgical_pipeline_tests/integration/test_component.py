"""`defs.yaml` with our type, loaded as a project of `dg` loads it."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.testing import create_defs_folder_sandbox

from surgical_pipeline.component import GitLabSync
from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.dagster_runs import SYNC_JOB, scope_of, trigger_of
from surgical_pipeline.domain.lifecycle import Trigger
from surgical_pipeline.domain.scope import Scope

SCOPE = "acme/rocket#12+20-25!34"
BOARD = {"name": "release_board", "cron": "0 6 * * 1-5", "timezone": "Europe/Paris", "scope": SCOPE}


@contextmanager
def loaded(schedules: list[dict[str, Any]]) -> Iterator[dg.Definitions]:
    with create_defs_folder_sandbox() as project:
        path = project.scaffold_component(
            component_cls=GitLabSync,
            defs_yaml_contents={
                "type": "surgical_pipeline.component.GitLabSync",
                "attributes": {"schedules": schedules},
            },
        )
        with project.load_component_and_build_defs(defs_path=path) as (_, built):
            yield built


def test_it_has_all_of_ours_and_a_schedule_for_each_scope() -> None:
    with loaded([{**BOARD, "only_changed": True}]) as built:
        repository, ours = built.get_repository_def(), defs.get_repository_def()
        assert repository.asset_graph.get_all_asset_keys() == ours.asset_graph.get_all_asset_keys()
        assert {job.name for job in repository.get_all_jobs()} == {job.name for job in ours.get_all_jobs()}
        added = {one.name for one in repository.schedule_defs} - {one.name for one in ours.schedule_defs}
        assert added == {"release_board"}
        schedule = repository.get_schedule_def("release_board")
        assert (schedule.job_name, schedule.execution_timezone) == (SYNC_JOB, "Europe/Paris")
        with dg.DagsterInstance.ephemeral() as instance:
            tick = schedule.evaluate_tick(dg.build_schedule_context(instance))
        assert tick.run_requests is not None
        (request,) = tick.run_requests
        run = dg.DagsterRun(job_name=SYNC_JOB, run_config=request.run_config, tags=dict(request.tags))
        assert scope_of(run) == Scope.parse(SCOPE)
        assert trigger_of(run) is Trigger.SENSOR
        assert request.run_config["ops"]["surgical_sync"]["config"]["only_changed"] is True
        assert dg.validate_run_config(repository.get_job(SYNC_JOB), request.run_config)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"scope": "acme/rocket"}, "the scope is empty"),
        ({"scope": "acme/rocket#0"}, "an IID lies between"),
        ({"timezone": "Mars/Olympus"}, "no time zone is called 'Mars/Olympus'"),
        ({"crom": "0 6 * * *"}, "Extra inputs are not permitted"),
    ],
    ids=str,
)
def test_what_cannot_be_right_is_refused_while_it_loads(wrong: dict[str, str], why: str) -> None:
    with pytest.raises(ComponentTreeException) as caught:
        with loaded([{**BOARD, **wrong}]):
            pass
    assert why in "".join(traceback.format_exception(caught.value))
