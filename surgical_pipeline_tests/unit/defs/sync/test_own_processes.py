import dagster as dg
import pytest

from surgical_pipeline.defs.sync.own_processes import begins_with
from surgical_pipeline.domain.lifecycle import STAGES, Phase


def run(*stages: Phase) -> dg.DagsterRun:
    """One of all steps, or of these."""
    steps = [f"surgical_sync.{stage}" for stage in stages] or None
    return dg.DagsterRun(job_name="__ASSET_JOB", step_keys_to_execute=steps)


def test_a_run_of_all_steps_begins_with_preflight() -> None:
    assert [stage for stage in STAGES if begins_with(run(), stage)] == [Phase.PREFLIGHT]


@pytest.mark.parametrize("first", range(len(STAGES)))
def test_a_run_that_goes_on_begins_with_the_first_stage_that_it_has(first: int) -> None:
    again = run(*STAGES[first:])
    assert [stage for stage in STAGES[first:] if begins_with(again, stage)] == [STAGES[first]]
