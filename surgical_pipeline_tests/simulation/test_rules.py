"""Each rule that keeps a ledger right, switched off: the simulator finds that within a few seeds."""

import pytest

from surgical_pipeline_tests.simulation.rules import RULES
from surgical_pipeline_tests.simulation.runner import a_database, run_seed
from surgical_pipeline_tests.simulation.steps import Edit, HookFate, StartBackfill, Step

FOUND_BY = {
    "the settle rule": 0,
    "the freshness guard": 1,
    "the overlap of the cursor": 870,
    "deduplication of deliveries": 1,
    "one ask at a time": 1,
    "retry of events": 957,
    "retry of what polling found": 6,
    "resuming what is left": 3,
    "one backfill under way": 2,
    "the comparison of only_changed": 1388,
}
"""A seed that fails without the rule; docs/simulation.md tells after how many runs."""

STEPS: dict[str, tuple[Step, ...]] = {
    # The command dies after its last word to Dagster, so that its user gives it once more.
    "one backfill under way": (StartBackfill(5, (), 1, only_changed=False, again=20, dies_in=9),),
    # No hook tells of it, and no list shows it: only the sweep of what changed can find it.
    "the comparison of only_changed": (Edit(200, "backdate", 0, 5, HookFate(())),),
}
"""A schedule in the seed's surroundings, where no seed was looked for."""


def test_every_rule_is_switched_off_once() -> None:
    assert RULES.keys() == FOUND_BY.keys()


@pytest.mark.parametrize(("rule", "seed"), FOUND_BY.items())
def test_without_a_rule_its_seed_fails_and_with_it_the_seed_holds(rule: str, seed: int) -> None:
    with a_database() as database:
        with RULES[rule]():
            assert run_seed(database, seed, STEPS.get(rule)).failure is not None
        assert run_seed(database, seed, STEPS.get(rule)).failure is None
