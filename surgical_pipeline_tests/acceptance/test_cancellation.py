"""A run that is terminated in Dagster, wherever it is just then: real webserver, daemon, worker, lock and HTTP."""

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import HELD, IN_TURN, RUN_LIMIT_SECONDS, DagsterDev, wait_until
from surgical_pipeline_tests.ledger_gate import (
    LIMIT_SECONDS,
    has_lock,
    held,
    held_when,
    rows,
    wait_until_waiting,
)
from surgical_pipeline_tests.run_watch import (
    FOR_EVER_MS,
    LIST,
    SLOW_LIST,
    TICKS_SECONDS,
    assert_whole,
    result_of,
    running_in,
    wait_for_ending,
    wait_for_request,
)

pytestmark = pytest.mark.dagster_dev

SCOPE = Scope.parse("acme/rocket#12-14!34+35")
PAUSE_SECONDS = 0.005
"""Shorter than any window."""
CONFIG = {"project": SCOPE.project, "issue_iids": list(SCOPE.issue_iids), "mr_iids": list(SCOPE.mr_iids)}


@pytest.fixture
def ledger(dev_ledger: Path) -> Path:
    return dev_ledger


def assert_cancelled(dev: DagsterDev, ledger: Path, run_id: str, *, stages: Collection[str]) -> None:
    """Both sides say so, the ledger is whole, and nobody has its lock."""
    assert dev.wait_for_end(run_id) == "CANCELED"
    row = wait_for_ending(ledger, run_id)
    assert (row.status, row.phase, row.failure_code) == ("cancelled", "cancelled", "CANCELLED")
    assert row.finished_at is not None
    assert row.values["cancelled_at"] == row.finished_at
    result = result_of(ledger, run_id)
    asked = Scope.parse(result.scope)
    assert [one.entity for one in result.entity_outcomes] == list(map(asked.name, asked.keys()))
    failures = [one.failure for one in result.entity_outcomes if one.failure]
    assert failures
    assert {str(one.code) for one in failures} == {"CANCELLED"}
    assert {one.stage for one in failures} <= set(stages)
    assert_whole(ledger)


def test_cancellation_marks_sync_run_cancelled(dev: DagsterDev, ledger: Path, sandbox: RunningSandbox) -> None:
    """While it fetches dependents: what is fetched by then is written whole, the rest fails with CANCELLED."""
    sandbox.control.add_fault("*/issues/13/discussions", delay_ms=FOR_EVER_MS)
    run_id = dev.run(CONFIG)
    wait_for_request(sandbox, "/issues/13/discussions")
    dev.terminate(run_id)
    assert_cancelled(dev, ledger, run_id, stages=["dependents"])
    wait_until(
        lambda: rows(ledger)[run_id].dagster_status == "CANCELED",
        limit_seconds=TICKS_SECONDS,
        what="the mirror brings Dagster's word over",
    )


# ---------------------------------------------------------------------- wherever it is


@dataclass(frozen=True)
class Scene:
    ledger: Path
    sandbox: RunningSandbox
    run_id: str


Moment = Callable[[Scene], AbstractContextManager[None]]
"""Waits until the run is there; on leaving, lets it go on once it has heard of its end."""


def fetching(path: str, *, answered: int | None = None) -> Moment:
    """A request waits for its answer; ``answered`` with this: to be asked again later, which the run waits for."""

    @contextmanager
    def moment(scene: Scene) -> Iterator[None]:
        wait_for_request(scene.sandbox, path, answered=answered)
        yield

    return moment


def at_the_lock(phase: str, *, asked: str | None = None) -> Moment:
    """Somebody else has the lock; the run, in ``phase`` by its row, waits for it with its next window.

    ``asked``: with its next after the answer to such a request, for which it still waits when the lock is taken.
    """

    @contextmanager
    def moment(scene: Scene) -> Iterator[None]:
        if asked:
            wait_for_request(scene.sandbox, asked)
        with held_when(scene.ledger, running_in(scene.run_id, phase)) as row:
            assert row.pid is not None
            wait_until_waiting(scene.ledger, row.pid)
            yield
            # The wait that was called off, until its turn comes, and that of the ending.
            wait_until_waiting(scene.ledger, row.pid, times=2)

    return moment


def at_the_file(phase: str) -> Moment:
    """The run has the lock, and a program that does not know the lock has the file."""

    @contextmanager
    def moment(scene: Scene) -> Iterator[None]:
        with ExitStack() as shell:
            with held_when(scene.ledger, running_in(scene.run_id, phase)) as row:
                assert row.pid is not None
                shell.enter_context(duckdb.connect(str(scene.ledger)))
                wait_until_waiting(scene.ledger, row.pid)
            # Sensors that came before it wait for the file, too, one by one; its own heartbeat waits behind it.
            wait_until(
                lambda: has_lock(scene.ledger, row.pid or 0),
                limit_seconds=LIMIT_SECONDS,
                what="its turn",
            )
            yield
            with held(scene.ledger):  # so the run has let go of it
                shell.close()

    return moment


@pytest.mark.parametrize(
    ("fault", "moment", "stage"),
    [
        pytest.param(
            {"path": "*/issues", "delay_ms": FOR_EVER_MS},
            fetching("/issues"),
            "preflight",
            id="fetching in preflight",
        ),
        pytest.param(
            {"path": "*/issues", "status": 503, "headers": {"Retry-After": "50"}},
            fetching("/issues", answered=503),
            "preflight",
            id="waiting before it asks again",
        ),
        pytest.param(
            SLOW_LIST,
            at_the_lock("preflight", asked=LIST),
            "ingest",
            id="waiting for the lock in ingest",
        ),
        pytest.param(None, at_the_file("preflight"), "ingest", id="waiting for the file with the lock held"),
        pytest.param(None, at_the_lock("docs"), "docs", id="waiting for the lock in docs"),
        pytest.param(None, at_the_lock("embed"), "embed", id="waiting for the lock in embed"),
    ],
)
def test_a_terminated_run_is_cancelled(
    dev: DagsterDev,
    ledger: Path,
    sandbox: RunningSandbox,
    fault: dict[str, Any] | None,
    moment: Moment,
    stage: str,
) -> None:
    if fault:
        sandbox.control.add_fault(**fault)
    change_text(sandbox)
    run_id = dev.run(CONFIG)
    with moment(Scene(ledger, sandbox, run_id)):
        dev.terminate(run_id)
    assert_cancelled(dev, ledger, run_id, stages=[stage])


def change_text(sandbox: RunningSandbox) -> None:
    """So that there is something to render and to embed."""
    for iid in SCOPE.issue_iids:
        sandbox.control.update_issue(iid, title=f"issue {iid}, {uuid4()}")
    for iid in SCOPE.mr_iids:
        sandbox.control.update_merge_request(iid, title=f"merge request {iid}, {uuid4()}")


def test_a_window_that_is_open_is_finished_and_then_the_run_is_cancelled(
    dev: DagsterDev, ledger: Path, sandbox: RunningSandbox
) -> None:
    """Stopped with lock and file in its hands, it hears of its end when it goes on.

    Which window that is, is the scheduler's choice: nearly always one of ingest, at whose lock the run was kept
    until then; on a busy machine a later one, for it goes on without discussions when an entity's time is over.
    """
    sandbox.control.add_fault("*/discussions", delay_ms=FOR_EVER_MS)
    run_id = dev.run(CONFIG)
    with held_when(ledger, running_in(run_id, "preflight")) as row:
        pid = row.pid
        assert pid is not None
        wait_until_waiting(ledger, pid)
    stop_in_a_window(ledger, pid)
    with ThreadPoolExecutor(1) as clicks:
        try:
            told = clicks.submit(dev.terminate, run_id)
            wait_until(
                lambda: dev.status(run_id) == "CANCELING", limit_seconds=TICKS_SECONDS, what="Dagster knows"
            )
        finally:
            os.kill(pid, signal.SIGCONT)
        told.result()
    assert_cancelled(dev, ledger, run_id, stages=["preflight", "ingest", "dependents", "docs", "embed"])


def stop_in_a_window(ledger: Path, pid: int) -> None:
    """Looks more often than a window is long, and gives the process room in between.

    Raises:
        AssertionError: none was met within the limit.
    """
    end = time.monotonic() + TICKS_SECONDS
    while time.monotonic() < end:
        os.kill(pid, signal.SIGSTOP)
        if has_lock(ledger, pid):
            return
        os.kill(pid, signal.SIGCONT)
        time.sleep(PAUSE_SECONDS)
    raise AssertionError(f"process {pid} was in no window within {TICKS_SECONDS} s")


# ---------------------------------------------------------------------- before it runs


def test_a_run_in_dagsters_queue_is_queued_in_the_ledger_and_cancelled_from_there(
    dev: DagsterDev, ledger: Path, sandbox: RunningSandbox
) -> None:
    """Nothing but the mirror can know of it, for no process of it ever starts."""
    run_id = dev.run(CONFIG, tags=HELD)
    row = wait_until(
        lambda: one if (one := rows(ledger).get(run_id)) and one.dagster_status == "QUEUED" else None,
        limit_seconds=TICKS_SECONDS,
        what="its row, once Dagster has put the run into its queue",
    )
    assert (row.status, row.phase) == ("queued", "queued")
    assert row.values["scope"] == str(SCOPE)
    assert row.values["started_at"] is None
    dev.terminate(run_id)
    assert_cancelled(dev, ledger, run_id, stages=["queued"])
    assert sandbox.control.requests().count == 0


def test_a_cancelled_backfill_cancels_the_run_that_runs_and_those_that_wait(
    dev: DagsterDev, ledger: Path, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("*/issues", delay_ms=FOR_EVER_MS)
    keys = ["acme/rocket#12", "acme/rocket#13", "acme/rocket#14"]
    backfill = dev.backfill(keys, tags=IN_TURN)
    wait_for_request(sandbox, "/issues")
    runs = wait_until(
        lambda: found if len(found := dev.runs_with_tag("dagster/backfill", backfill)) == len(keys) else None,
        limit_seconds=RUN_LIMIT_SECONDS,
        what="a run for each partition",
    )
    assert sorted(runs.values()) == ["QUEUED", "QUEUED", "STARTED"]
    dev.cancel_backfill(backfill)
    for run_id in runs:
        assert dev.wait_for_end(run_id) == "CANCELED"
    for run_id, status in runs.items():
        stages = ["preflight" if status == "STARTED" else "queued"]
        assert_cancelled(dev, ledger, run_id, stages=stages)
        row = rows(ledger)[run_id]
        assert (row.values["mode"], row.values["trigger"]) == ("backfill", "backfill")
        assert row.values["scope"] in keys
