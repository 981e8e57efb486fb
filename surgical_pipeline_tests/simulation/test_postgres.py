"""The simulator over PostgreSQL: seeds hold, give the same lines each time, and find what is switched off."""

from collections.abc import Iterator

import pytest

from surgical_pipeline_tests.postgres_server import PostgresServer
from surgical_pipeline_tests.simulation.ledger import Database
from surgical_pipeline_tests.simulation.rules import ON_POSTGRES
from surgical_pipeline_tests.simulation.runner import Result, a_database, run_seed
from surgical_pipeline_tests.simulation.steps import Edit, HookFate, Lag, Stall, Step, Sync

FOUND_BY = {
    "the freshness guard": 1388,
    "the time after a wait": 1388,
    "the turn of runs' numbers": 1,
    "the lock of a run before its outcomes": 8,
}
"""A seed that fails without the rule."""

STEPS: dict[int, tuple[Step, ...]] = {
    # Two steps are left of its own schedule, of which the mirror and a run take notice at once.
    1: (
        Edit(41.661, "create_merge_request", 49, 1388, HookFate((17.042,))),
        Lag(109.002, seconds=0, every=2),
    ),
    # The first run stands still where it waits for its entity, and the second one fetches and writes meanwhile.
    1388: (Sync(400.0, (0,)), Stall(403.364, 0, 45, 60.0), Sync(425.0, (0,))),
}
"""A schedule in the seed's surroundings, where no seed was looked for."""


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[Database]:
    with a_database(postgres) as made:
        yield made


@pytest.fixture(scope="module")
def results(database: Database) -> dict[int, Result]:
    """Of each seed, with all rules."""
    return {seed: run_seed(database, seed, STEPS.get(seed)) for seed in sorted(set(FOUND_BY.values()))}


def test_every_rule_is_switched_off_once() -> None:
    assert ON_POSTGRES.keys() == FOUND_BY.keys()


def test_whatever_happens_between_statements_the_ledger_comes_to_hold_what_gitlab_has(
    results: dict[int, Result],
) -> None:
    assert {seed: result.failure for seed, result in results.items() if result.failure} == {}


def test_statements_wait_for_locks_and_a_seed_gives_the_same_lines_all_the_same(
    database: Database, results: dict[int, Result]
) -> None:
    assert any(line.endswith("waits for a lock") for line in results[8].lines)
    assert run_seed(database, 8).lines == results[8].lines


@pytest.mark.parametrize(("rule", "seed"), FOUND_BY.items())
def test_without_a_rule_its_seed_fails(database: Database, rule: str, seed: int) -> None:
    with ON_POSTGRES[rule]():
        assert run_seed(database, seed, STEPS.get(seed)).failure is not None
