"""Dagster's own backfill daemon over the planner's backfills: killed, cancelled, resumed."""

import operator
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.defs.backfill_life import Cancelling, cancel, prune, resumption
from surgical_pipeline.defs.backfill_records import find_backfill, resumed_by, runs_of
from surgical_pipeline.defs.backfill_status import status_of
from surgical_pipeline.defs.backfills import launch, plan
from surgical_pipeline.defs.dagster_internals import BulkActionStatus
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.domain.backfill import BackfillError, BackfillPlan, Wish
from surgical_pipeline.domain.backfill_report import BackfillState
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.integration.defs.sensors.daemon import KILLED, SensorDaemon
from surgical_pipeline_tests.ledger_dump import query

pytestmark = pytest.mark.processes
OVER = BulkActionStatus.COMPLETED_FAILED
"""A backfill that Dagster's daemon leaves alone, and that has everything left."""


def planned(text: str, chunk: int) -> BackfillPlan:
    return plan(Wish(scopes=(Scope.parse(text),), chunk=chunk), Settings.from_environment())


def made(instance: dg.DagsterInstance, backfill_id: str) -> list[dg.DagsterRun]:
    return runs_of(instance, [find_backfill(instance, backfill_id)])


def test_no_run_is_made_twice_wherever_the_daemon_dies(instance: dg.DagsterInstance, daemon: SensorDaemon) -> None:
    found = planned("acme/rocket#1-120", 2)
    backfill_id = launch(instance, found).backfill_id
    assert daemon.look_at_backfills("BEFORE_SUBMIT") == KILLED
    assert made(instance, backfill_id) == []
    assert daemon.look_at_backfills("AFTER_SUBMIT") == KILLED
    assert len(made(instance, backfill_id)) == 25  # and Dagster has not noted that it made them
    for _ in range(2):
        assert daemon.look_at_backfills() == 0
    runs = made(instance, backfill_id)
    assert Counter(run.tags["dagster/partition"] for run in runs) == Counter(found.chunks)
    (config,) = {str(run.run_config) for run in runs}
    assert "'only_changed': False" in config
    assert {run.tags["surgical/trigger"] for run in runs} == {"backfill"}
    assert {run.tags["dagster/priority"] for run in runs} == {"-10"}


@pytest.mark.both_ledgers
def test_a_cancelled_backfill_ends_in_both_and_is_resumed_whole(
    instance: dg.DagsterInstance, ledger: Ledger, daemon: SensorDaemon
) -> None:
    backfill_id = launch(instance, planned("acme/rocket#1-30", 10)).backfill_id
    assert daemon.look_at_backfills() == 0
    looks: list[Cancelling] = []
    found = cancel(
        instance,
        find_backfill(instance, backfill_id),
        watch=looks.append,
        pause=lambda _seconds: None,
    )
    # No daemon has ever said that it is there: the command says so instead of waiting for ever.
    assert (found.abandoned, found.ending, found.state) == (True, 3, BackfillState.CANCELLING)
    with pytest.raises(BackfillError, match="is cancelling"):
        resumption(instance, ledger, find_backfill(instance, backfill_id))
    while not find_backfill(instance, backfill_id).state.over:
        assert daemon.look_at_backfills() == 0
    status = status_of(instance, ledger, find_backfill(instance, backfill_id))
    assert (status.state, status.left, status.progress.waiting) == (BackfillState.CANCELLED, 30, 30)
    assert any("ended in one of ledger and Dagster" in one for one in status.disagreements)
    left = resumption(instance, ledger, find_backfill(instance, backfill_id))
    assert left.plan.chunks == ("acme/rocket#1-10", "acme/rocket#11-20", "acme/rocket#21-30")
    status = status_of(instance, ledger, find_backfill(instance, backfill_id))
    assert status.progress.failures == {"CANCELLED": 30}
    assert status.disagreements == ()
    resumed = launch(instance, left.plan, tags=left.tags).backfill_id
    first = find_backfill(instance, backfill_id)
    assert [one.id for one in resumed_by(instance, first)] == [resumed]
    with pytest.raises(BackfillError, match=f"backfill {resumed} is running"):
        resumption(instance, ledger, first)


def test_what_is_left_can_be_resumed_before_the_daemon_has_seen_that_all_runs_ended(
    instance: dg.DagsterInstance, ledger: Ledger, daemon: SensorDaemon
) -> None:
    backfill_id = launch(instance, planned("acme/rocket#1-20", 10)).backfill_id
    with pytest.raises(BackfillError, match="is running"):
        resumption(instance, ledger, find_backfill(instance, backfill_id))
    assert daemon.look_at_backfills() == 0
    first, second = made(instance, backfill_id)
    instance.report_run_failed(first)
    with pytest.raises(BackfillError, match="is running"):
        resumption(instance, ledger, find_backfill(instance, backfill_id))
    instance.report_run_failed(second)
    backfill = find_backfill(instance, backfill_id)
    assert backfill.state is BackfillState.RUNNING
    assert resumption(instance, ledger, backfill).plan.chunks == ("acme/rocket#1-10", "acme/rocket#11-20")


def test_what_two_people_resume_at_once_is_launched_once(instance: dg.DagsterInstance, ledger: Ledger) -> None:
    """Both saw the same plan; when the second says yes, the first one's backfill is over already."""
    backfill_id = launch(instance, planned("acme/rocket#1-30", 10), status=OVER).backfill_id
    one, other = (resumption(instance, ledger, find_backfill(instance, backfill_id)) for _ in range(2))
    first = launch(instance, one.plan, tags=one.tags, status=OVER).backfill_id
    with pytest.raises(BackfillError, match=f"was resumed meanwhile, by {first}"):
        launch(instance, other.plan, tags=other.tags)
    again = resumption(instance, ledger, find_backfill(instance, backfill_id))
    assert again.plan.chunks == one.plan.chunks
    assert not launch(instance, again.plan, tags=again.tags).under_way


def test_resumptions_of_machines_whose_clocks_differ_are_all_found(
    instance: dg.DagsterInstance, ledger: Ledger
) -> None:
    backfill_id = launch(instance, planned("acme/rocket#1-30", 10), status=OVER).backfill_id
    made = []
    for behind in (0, 60):
        left = resumption(instance, ledger, find_backfill(instance, backfill_id))
        clock = partial(operator.sub, utc_now(), timedelta(seconds=behind))
        made.append(launch(instance, left.plan, tags=left.tags, status=OVER, clock=clock).backfill_id)
    assert [one.id for one in resumed_by(instance, find_backfill(instance, backfill_id))] == made


def test_a_backfill_that_failed_in_dagster_is_resumed_too(
    instance: dg.DagsterInstance, ledger: Ledger, daemon: SensorDaemon
) -> None:
    """A failure of the backfill itself ends all its runs."""
    found = planned("acme/rocket#1-30", 10)
    backfill_id = launch(instance, found).backfill_id
    assert daemon.look_at_backfills() == 0
    backfill = find_backfill(instance, backfill_id)
    assert backfill.record.partition_set_origin is not None
    broken = backfill.record.partition_set_origin.repository_origin.get_partition_set_origin("none")
    instance.update_backfill(backfill.record._replace(partition_set_origin=broken))
    assert daemon.look_at_backfills() != 0
    for _ in range(3):
        daemon.look_at_backfills()
    backfill = find_backfill(instance, backfill_id)
    assert backfill.state is BackfillState.FAILED
    assert {run.status.value for run in made(instance, backfill_id)} == {"CANCELED"}
    assert resumption(instance, ledger, backfill).plan.chunks == found.chunks


@pytest.mark.both_ledgers
def test_what_the_ledger_has_is_counted_whatever_dagster_says(
    instance: dg.DagsterInstance, ledger: Ledger, daemon: SensorDaemon
) -> None:
    backfill_id = launch(instance, planned("acme/rocket#1-20", 10)).backfill_id
    assert daemon.look_at_backfills() == 0
    first, _ = made(instance, backfill_id)
    Mirror(instance, ledger).reconcile()
    rows = query(ledger, "SELECT DISTINCT mode, trigger, status FROM sync_runs")
    assert rows == [("backfill", "backfill", "queued")]
    instance.report_run_canceling(first)
    instance.report_run_canceled(first)
    status = status_of(instance, ledger, find_backfill(instance, backfill_id))
    assert (status.dagster_runs, status.runs) == ({"CANCELED": 1, "QUEUED": 1}, {"queued": 2})
    (apart, silent) = status.disagreements
    assert first.run_id in apart
    assert "`surgical-pipeline runs reconcile` makes them agree" in apart
    assert "no sign of life yet: start `dagster dev`" in silent


def test_keys_are_pruned_once_nothing_is_left(instance: dg.DagsterInstance, ledger: Ledger, home: Path) -> None:
    from surgical_pipeline.defs.local_backfill import LocalBackfill  # noqa: PLC0415

    del home
    for text in ("acme/rocket#12+13", "acme/rocket#13+14"):
        backfill = LocalBackfill(planned(text, 1), instance=instance, ledger=ledger, tags={}, log_level="CRITICAL")
        backfill.execute(cancelled=lambda: False)
    waiting = launch(instance, planned("acme/rocket#14+15", 1)).backfill_id
    pruned = prune(instance, ledger, find_backfill(instance, backfill.launched.backfill_id))
    assert (pruned.removed, pruned.kept) == (1, 1)
    assert sorted(instance.get_dynamic_partitions("scopes")) == [
        "acme/rocket#12",
        "acme/rocket#14",
        "acme/rocket#15",
    ]
    with pytest.raises(BackfillError, match="wait for its end"):
        prune(instance, ledger, find_backfill(instance, waiting))
