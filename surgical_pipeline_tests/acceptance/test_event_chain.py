"""The whole way of an event, in processes of its own: sandbox, receiver, `dagster dev` with its sensors, runs."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.event_chain import SIGNING_TOKEN, EventChain, event_chain
from surgical_pipeline_tests.random_edits import RandomEdits

pytestmark = pytest.mark.dagster_dev

EDITS = 60
REST_SECONDS = 300
"""The settle rule alone waits 125 s after the last change."""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventChain]:
    with (
        RunningSandbox(build_sample(issues=150)) as sandbox,
        event_chain(tmp_path_factory.mktemp("chain"), sandbox, hooks=True, polling=True) as running,
    ):
        yield running


def test_an_edit_reaches_its_vector_by_a_hook_and_the_run_says_where_it_came_from(chain: EventChain) -> None:
    chain.sandbox.control.update_issue(12, title="Told by a hook")
    chain.wait_for_vector("Told by a hook")
    wait_until(
        lambda: chain.rows("SELECT 1 FROM gitlab_events WHERE iid = 12 AND state = 'done'"),
        limit_seconds=REST_SECONDS,
        what="the event is done",
    )
    ((mode, trigger, scope, upto),) = chain.rows(
        "SELECT mode, trigger, scope, events_upto FROM sync_runs "
        "WHERE events_upto IS NOT NULL ORDER BY number LIMIT 1"
    )
    assert (mode, trigger) == ("incremental", "sensor")
    assert str(scope).endswith("#12")
    assert upto == 1


def test_random_edits_come_to_rest_as_the_sandbox_is_though_hooks_are_lost_doubled_and_late(
    chain: EventChain,
) -> None:
    hooks = chain.sandbox.control.hooks
    hooks.clear()
    hooks.add(chain.address, signing_token=SIGNING_TOKEN, lose=0.2, double=0.2, spread_ms=3000, seed=5)
    edits = RandomEdits(chain.sandbox.control, seed=11, told_within=timedelta(seconds=55))
    edits.make(EDITS, pause_seconds=0.2)
    expected = edits.expected()

    def at_rest() -> bool:
        open_events = chain.rows("SELECT 1 FROM gitlab_events WHERE state NOT IN ('done', 'dead')")
        open_runs = chain.rows("SELECT 1 FROM sync_runs WHERE status IN ('queued', 'running')")
        return not open_events and not open_runs and not chain.differences(expected)

    wait_until(at_rest, limit_seconds=REST_SECONDS, what="the store equals the sandbox, and each event is done")
    assert not chain.rows("SELECT 1 FROM gitlab_events WHERE state = 'dead'")
