"""Whatever our definitions come to have must not fill the disk."""

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.dagster_runs import is_surgical
from surgical_pipeline.defs.pruning.ours import ASSET_KEYS, INSTIGATORS, OTHER_JOBS, is_ours

REPOSITORY = defs.get_repository_def()
JOBS = sorted(job.name for job in REPOSITORY.get_all_jobs() if not job.name.startswith("__"))


@pytest.mark.parametrize("job", JOBS)
def test_runs_of_every_job_that_is_defined_are_pruned(job: str) -> None:
    assert is_ours(dg.DagsterRun(job_name=job))


def test_no_job_is_named_that_is_not_defined() -> None:
    assert set(JOBS) >= OTHER_JOBS
    assert not any(is_surgical(dg.DagsterRun(job_name=job)) for job in OTHER_JOBS)


def test_every_asset_keeps_the_run_that_the_catalog_shows() -> None:
    assert REPOSITORY.asset_graph.get_all_asset_keys() == ASSET_KEYS


def test_the_ticks_of_every_sensor_and_schedule_are_pruned() -> None:
    sensors = {one.name for one in REPOSITORY.sensor_defs}
    assert sensors | {one.name for one in REPOSITORY.schedule_defs} == INSTIGATORS


def test_somebody_elses_runs_are_not_ours() -> None:
    mixed = frozenset({*ASSET_KEYS, dg.AssetKey("theirs")})
    assert not is_ours(dg.DagsterRun(job_name="theirs"))
    assert not is_ours(dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=mixed))
    assert is_ours(dg.DagsterRun(job_name="__ASSET_JOB", asset_selection=ASSET_KEYS))
