"""Signals to `surgical-pipeline sync`: Ctrl+C and SIGTERM, SIGKILL, and SIGSTOP for longer than anybody waits."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import psutil
import pytest

from surgical_pipeline.defs.launch import reconcile_now
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.ledger_dump import content_of
from surgical_pipeline_tests.ledger_gate import Row, held, held_when, newest, rows, wait_until_waiting, waiting
from surgical_pipeline_tests.run_watch import (
    FOR_EVER_MS,
    LIST,
    SLOW_LIST,
    TICKS_SECONDS,
    assert_whole,
    wait_for_request,
)
from surgical_pipeline_tests.sync_process import Ended, SyncProcess, syncing

pytestmark = pytest.mark.processes

SCOPE = Scope.parse("acme/rocket#12-14!34")
BOTH = [signal.SIGINT, signal.SIGTERM]

Moment = Callable[[Path, RunningSandbox, SyncProcess], AbstractContextManager[None]]
"""Waits until the process is there; on leaving, lets it go on once it has heard of its end."""


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the repository, whose .env would set DAGSTER_HOME."""
    monkeypatch.chdir(home)


@pytest.fixture
def path(ledger: DuckDBLedger) -> Path:
    return ledger.path


def dagster_status(run_id: str) -> str | None:
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        return run.status.value if run else None


def assert_cancelled(ended: Ended, path: Path, *, stage: str) -> None:
    """Exit code, stdout, row and Dagster tell the same story."""
    assert ended.exit_code == 130, ended.stderr
    result = ended.result
    row = rows(path)[result.run_id]
    assert (result.completion_status, result.phase, result.error and result.error.code) == (
        "cancelled",
        "cancelled",
        "CANCELLED",
    )
    assert (row.status, row.phase, row.failure_code, row.dagster_status) == (
        "cancelled",
        "cancelled",
        "CANCELLED",
        "CANCELED",
    )
    assert row.values["cancelled_at"] == row.finished_at == result.finished_at
    assert [one.entity for one in result.entity_outcomes] == list(map(SCOPE.name, SCOPE.keys()))
    assert {(one.failure.code, one.failure.stage) for one in result.entity_outcomes if one.failure} == {
        ("CANCELLED", stage)
    }
    assert dagster_status(result.run_id) == "CANCELED"
    assert "Traceback" not in ended.stderr
    assert_whole(path)


def running_in(phase: str) -> Callable[[Row], bool]:
    return lambda row: (row.status, row.phase) == ("running", phase)


def fetching(part: str, *, answered: int | None = None) -> Moment:
    @contextmanager
    def moment(_path: Path, sandbox: RunningSandbox, _process: SyncProcess) -> Iterator[None]:
        wait_for_request(sandbox, part, answered=answered)
        yield

    return moment


@contextmanager
def at_the_lock(path: Path, sandbox: RunningSandbox, process: SyncProcess) -> Iterator[None]:
    wait_for_request(sandbox, LIST)
    with held_when(path, running_in("preflight")):
        wait_until_waiting(path, process.pid)
        yield
        wait_until_waiting(path, process.pid, times=2)


@pytest.mark.parametrize("number", BOTH)
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
            {"path": "*/discussions", "delay_ms": FOR_EVER_MS},
            fetching("/discussions"),
            "dependents",
            id="fetching dependents",
        ),
        pytest.param(
            {"path": "*/issues", "status": 429, "headers": {"Retry-After": "50"}},
            fetching("/issues", answered=429),
            "preflight",
            id="waiting out a rate limit",
        ),
        pytest.param(SLOW_LIST, at_the_lock, "ingest", id="waiting for the lock"),
    ],
)
def test_an_interrupted_sync_is_cancelled_and_tells_what_it_did(
    path: Path,
    sandbox: RunningSandbox,
    number: signal.Signals,
    fault: dict[str, Any],
    moment: Moment,
    stage: str,
) -> None:
    sandbox.control.add_fault(**fault)
    with syncing(str(SCOPE), cwd=path.parent) as process:
        with moment(path, sandbox, process):
            process.tell(number)
        assert_cancelled(process.wait(), path, stage=stage)


def test_a_second_ctrl_c_while_the_first_is_recorded_breaks_nothing(path: Path, sandbox: RunningSandbox) -> None:
    """The lock is somebody else's, so that the ending has to wait."""
    sandbox.control.add_fault(**SLOW_LIST)
    with syncing(str(SCOPE), cwd=path.parent) as process:
        wait_for_request(sandbox, LIST)
        with held_when(path, running_in("preflight")):
            wait_until_waiting(path, process.pid)
            for times in (2, 3):
                process.tell(signal.SIGINT)
                wait_until_waiting(path, process.pid, times=times)
        assert_cancelled(process.wait(), path, stage="ingest")


@pytest.mark.parametrize("number", BOTH)
def test_a_sync_that_is_interrupted_before_it_has_a_run_leaves_nothing(
    sync: Sync, path: Path, sandbox: RunningSandbox, number: signal.Signals
) -> None:
    """It looks at the ledger before anything else, and waits for it."""
    sync("acme/rocket#12")
    sandbox.control.clear_requests()
    before = rows(path)
    with syncing(str(SCOPE), cwd=path.parent) as process:
        with held(path):
            wait_until_waiting(path, process.pid)
            process.tell(number)
            ended = process.wait()
        assert (ended.exit_code, ended.stdout) == (130, "")
    assert rows(path) == before
    assert sandbox.control.requests().count == 0
    assert_whole(path)


# ---------------------------------------------------------------------- gone, or only silent


def test_a_killed_sync_is_lost_on_both_sides_when_the_next_one_starts(
    sync: Sync, path: Path, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("*/discussions", delay_ms=FOR_EVER_MS)
    with syncing(str(SCOPE), cwd=path.parent) as process:
        wait_for_request(sandbox, "/discussions")
        process.tell(signal.SIGKILL)
        assert process.wait().exit_code == -signal.SIGKILL
    lost = newest(path)
    assert lost is not None
    assert lost.status == "running"
    sandbox.control.clear_faults()
    assert sync(str(SCOPE)).completion_status == "succeeded"
    row = rows(path)[lost.run_id]
    assert (row.status, row.phase, row.failure_code, row.dagster_status) == (
        "failed",
        "dependents",
        "WORKER_LOST",
        "FAILURE",
    )
    assert dagster_status(lost.run_id) == "FAILURE"
    assert_whole(path)


@contextmanager
def stopped(path: Path, sandbox: RunningSandbox) -> Iterator[tuple[SyncProcess, Row]]:
    """A sync that is stopped while it fetches dependents; what it waits for never comes within its time limit."""
    sandbox.control.add_fault("*/issues/13/discussions", delay_ms=FOR_EVER_MS)
    with syncing(str(SCOPE), "--entity-timeout-seconds", "8", cwd=path.parent) as process:
        wait_for_request(sandbox, "/issues/13/discussions")
        with held(path):
            assert waiting(path, process.pid) == 0
            process.tell(signal.SIGSTOP)
            wait_until(
                lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED,
                limit_seconds=TICKS_SECONDS,
                what="it is stopped",
            )
        row = newest(path)
        assert row is not None
        yield process, row


def look_later(path: Path) -> list[str]:
    """The mirror, by a clock that is ahead by more than a heart may be silent."""
    with dg.DagsterInstance.get() as instance:
        mirror = Mirror(instance, DuckDBLedger(path), clock=lambda: utc_now() + timedelta(seconds=100))
        mirror.reconcile()
        return [f"{change.what}: {change.detail}" for change in mirror.changes]


def test_a_stopped_sync_is_not_taken_for_lost_however_long_it_is_silent(
    path: Path, sandbox: RunningSandbox
) -> None:
    with stopped(path, sandbox) as (process, row):
        assert look_later(path) == []
        assert reconcile_now(DuckDBLedger(path)) == []
        assert rows(path)[row.run_id].status == "running"
        process.tell(signal.SIGINT)
        process.tell(signal.SIGCONT)
        assert process.wait().exit_code == 130


def test_a_silent_run_of_another_host_is_given_up_and_writes_nothing_when_it_goes_on(
    path: Path, sandbox: RunningSandbox
) -> None:
    """From here nobody can see whether its process lives, so its heartbeat is all that counts."""
    with stopped(path, sandbox) as (process, row):
        with held(path), duckdb.connect(str(path)) as connection:
            connection.execute("UPDATE sync_runs SET host = 'another-host' WHERE run_id = ?", [row.run_id])
        changes = look_later(path)
        assert len(changes) == 2
        assert "another-host" in changes[0]
        given_up = rows(path)[row.run_id]
        assert (given_up.status, given_up.phase, given_up.failure_code) == ("failed", "dependents", "WORKER_LOST")
        assert dagster_status(row.run_id) == "FAILURE"
        before = content_of(path, with_run_columns=True)
        process.tell(signal.SIGCONT)
        ended = process.wait()
    assert ended.exit_code == 1, ended.stderr
    assert ended.result.error is not None
    assert ended.result.error.code == "WORKER_LOST"
    assert content_of(path, with_run_columns=True) == before
    assert rows(path)[row.run_id] == given_up
    assert dagster_status(row.run_id) == "FAILURE"
    assert_whole(path)
