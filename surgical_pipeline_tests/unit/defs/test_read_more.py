"""What every job, op, sensor, schedule and check in Dagster's UI tells somebody who has never seen it."""

from typing import Any

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline_tests.surroundings import REPOSITORY

DAGSTERS = defs.get_repository_def()
JOBS = [job for job in DAGSTERS.get_all_jobs() if not job.name.startswith("__")]
OPS = {op.name: op for job in JOBS for op in job.graph.iterate_op_defs()}
NAMED: list[Any] = [*JOBS, *OPS.values(), *DAGSTERS.sensor_defs, *DAGSTERS.schedule_defs]


@pytest.mark.parametrize("one", NAMED, ids=lambda one: f"{type(one).__name__} {one.name}")
def test_it_has_a_description(one: Any) -> None:
    assert one.description


@pytest.mark.parametrize("spec", sorted(DAGSTERS.asset_graph.asset_check_keys), ids=lambda key: key.name)
def test_a_check_has_a_description(spec: dg.AssetCheckKey) -> None:
    assert DAGSTERS.asset_graph.get(spec).description


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_names_a_page_that_is_there(job: dg.JobDefinition) -> None:
    assert (REPOSITORY / str(job.metadata["docs"].value)).is_file()
