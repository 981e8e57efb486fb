"""A minute of the simulator. `python -m surgical_pipeline_tests.simulation --seed N` replays a seed that fails."""

import pytest

from surgical_pipeline_tests.simulation.runner import a_database, run_seed

_EACH = 10


@pytest.mark.parametrize("first", range(100, 140, _EACH))
def test_whatever_happens_in_whatever_order_the_ledger_comes_to_hold_what_gitlab_has(first: int) -> None:
    with a_database() as database:
        failures = {seed: run_seed(database, seed).failure for seed in range(first, first + _EACH)}
    assert {seed: failure for seed, failure in failures.items() if failure} == {}
