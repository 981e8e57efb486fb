"""Some seconds of the simulator; `acceptance/test_simulation.py` has a minute of it, `make simulate` more."""

import pytest

from surgical_pipeline_tests.simulation.runner import a_database, run_seed


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_in_whatever_order_the_ledger_comes_to_hold_what_gitlab_has(seed: int) -> None:
    with a_database() as database:
        assert run_seed(database, seed).failure is None
