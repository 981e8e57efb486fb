"""What people do with a backfill that is there: cancel it, resume what is left of it, forget its keys."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from surgical_pipeline.defs.backfill_records import (
    PARENT_TAG,
    ROOT_TAG,
    Backfill,
    daemon_runs,
    find_backfill,
    list_backfills,
    resumed_by,
    runs_of,
)
from surgical_pipeline.defs.backfill_status import left_of
from surgical_pipeline.defs.dagster_internals import BulkActionStatus
from surgical_pipeline.defs.dagster_runs import PARTITION_TAG
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.defs.sync.backfill_job import SCOPES
from surgical_pipeline.domain.backfill import BackfillError, BackfillPlan, chunks_of, plan_of
from surgical_pipeline.domain.backfill_report import BackfillState
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.limits import DEFAULT_CHUNK
from surgical_pipeline.domain.reconciliation import Liveness
from surgical_pipeline.domain.words import counted
from surgical_pipeline.ledger.clock import Clock, utc_now
from surgical_pipeline.ledger.protocol import Ledger

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Cancelling:
    """One look at a backfill that somebody cancels. ``ending``: runs that have not ended.

    ``abandoned``: no daemon is there, and nobody will end them.
    """

    state: BackfillState
    ending: int
    abandoned: bool = False


def cancel(
    instance: dg.DagsterInstance,
    backfill: Backfill,
    *,
    watch: Callable[[Cancelling], None],
    pause: Callable[[float], None] = time.sleep,
    clock: Clock = utc_now,
) -> Cancelling:
    """Ask for its end and wait for it; returns the last look. One that is over stays as it is.

    Raises:
        BackfillError: it runs in a process that cannot be reached from here.
    """
    if backfill.state.over:
        return _look(instance, backfill, clock())
    if backfill.worker is not None:
        _interrupt(backfill)
    while True:
        now = find_backfill(instance, backfill.id)
        if now.record.status is BulkActionStatus.REQUESTED:
            # Again if it is lost: Dagster's daemon may write its own copy, which it read before.
            instance.update_backfill(now.record._replace(status=BulkActionStatus.CANCELING))
        look = _look(instance, now, clock())
        watch(look)
        if look.state.over or look.abandoned:
            return look
        pause(LOOK_SECONDS)


def _look(instance: dg.DagsterInstance, backfill: Backfill, present: datetime) -> Cancelling:
    ending = sum(not run.is_finished for run in runs_of(instance, [backfill]))
    now = find_backfill(instance, backfill.id)
    alone = now.worker is None and not now.state.over and not daemon_runs(instance, present)
    return Cancelling(now.state, ending, abandoned=alone)


def _interrupt(backfill: Backfill) -> None:
    """As Ctrl+C does: the process ends its run and the backfill with it."""
    worker = backfill.worker
    if worker is None or worker.liveness is not Liveness.ALIVE:
        where = f"process {worker.pid} on {worker.host}" if worker else "another process"
        raise BackfillError(
            f"backfill {backfill.id} runs in {where}, which cannot be reached from here: end it there"
        )
    os.kill(worker.pid, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Resumption:
    """What is left of a backfill: no chunks if nothing is. ``tags``: for the one that resumes it."""

    plan: BackfillPlan
    tags: dict[str, str]


def resumption(
    instance: dg.DagsterInstance, ledger: Ledger, backfill: Backfill, *, mirror: Mirror | None = None
) -> Resumption:
    """What is left, by the ledger, of a backfill that is over, or of which all runs have ended.

    ``mirror``: over the same two, which it makes agree first; None: one with the clock of this machine.

    Raises:
        BackfillError: it is not over, or another resumes it already.
        LedgerError: the ledger cannot be used now.
    """
    more = resumed_by(instance, backfill)
    (mirror or Mirror(instance, ledger)).reconcile()
    for one in (backfill, *more):
        if not _is_over(instance, one):
            raise BackfillError(
                f"backfill {one.id} is {one.state}: wait for its end, or cancel it with "
                f"`surgical-pipeline backfill cancel {one.id}`"
            )
    left = left_of(ledger, backfill, runs_of(instance, [backfill, *more]))
    size = max(map(len, backfill.scopes), default=DEFAULT_CHUNK)
    chunks = [chunk for scope in left for chunk in chunks_of(scope.project, scope.keys(), chunk=size)]
    plan = plan_of(
        chunks,
        dependents=CORE_DEPENDENTS,
        only_changed=backfill.only_changed,
        planning_requests=0,
        per_minute=None,
    )
    root = backfill.record.tags.get(ROOT_TAG, backfill.id)
    # Each is resumed once, for one goes on from the last: so a launch can tell whether it comes too late.
    return Resumption(plan, {PARENT_TAG: (backfill, *more)[-1].id, ROOT_TAG: root})


def _is_over(instance: dg.DagsterInstance, backfill: Backfill) -> bool:
    """Also if its process cannot be seen, as after a restart of the machine, and none of its runs goes on."""
    worker = backfill.worker
    if worker is None and backfill.state is BackfillState.RUNNING:
        # Dagster's daemon looks every 30 s: that all of them have ended can be seen before it says so.
        runs = runs_of(instance, [backfill])
        begun = {run.tags.get(PARTITION_TAG) for run in runs}
        return begun >= set(backfill.keys) and all(run.is_finished for run in runs)
    if worker is None or worker.liveness is not Liveness.UNKNOWN:
        return backfill.state.over
    return all(run.is_finished for run in runs_of(instance, [backfill]))


@dataclass(frozen=True, slots=True)
class Pruned:
    """Keys of a backfill: how many went, and how many stay because another backfill needs them."""

    removed: int
    kept: int


def prune(instance: dg.DagsterInstance, ledger: Ledger, backfill: Backfill) -> Pruned:
    """Remove the keys of a backfill that is over and has nothing left; its runs and rows stay.

    Raises:
        BackfillError: it can still be resumed: a key that is gone would break that.
        LedgerError: the ledger cannot be used now.
    """
    left = resumption(instance, ledger, backfill).plan.entities
    if left:
        raise BackfillError(
            f"of backfill {backfill.id}, {counted(left, 'entity is', 'entities are')} left, which "
            f"`surgical-pipeline backfill resume {backfill.id}` takes"
        )
    family = {one.id: one for one in (backfill, *resumed_by(instance, backfill))}
    keys = {key for one in family.values() for key in one.keys}
    needed = {
        key
        for other in list_backfills(instance)
        if other.id not in family and keys & set(other.keys) and _needs_its_keys(instance, ledger, other)
        for key in other.keys
    }
    known = set(instance.get_dynamic_partitions(str(SCOPES.name)))
    gone = sorted((keys & known) - needed)
    for key in gone:
        instance.delete_dynamic_partition(str(SCOPES.name), key)
    return Pruned(removed=len(gone), kept=len(keys & known & needed))


def _needs_its_keys(instance: dg.DagsterInstance, ledger: Ledger, backfill: Backfill) -> bool:
    if not backfill.state.over:
        return True
    family = [backfill, *resumed_by(instance, backfill)]
    return bool(left_of(ledger, backfill, runs_of(instance, family)))
