"""A backfill by Dagster's daemon of which every part is killed in the middle: worker, daemon and GitLab."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import psutil
import pytest

from surgical_pipeline.defs.backfill_life import resumption
from surgical_pipeline.defs.backfill_records import find_backfill
from surgical_pipeline.defs.backfill_status import status_of
from surgical_pipeline.defs.backfills import launch, plan
from surgical_pipeline.domain.backfill import Wish, named_scope
from surgical_pipeline.domain.backfill_report import BackfillState, BackfillStatus
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.control_client import SandboxControl
from surgical_pipeline.sandbox.tokens import SANDBOX_TOKEN
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.acceptance.installation import PROGRAM
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.ledger_gate import Row, rows
from surgical_pipeline_tests.quick_daemon import kill_daemon, running_daemon
from surgical_pipeline_tests.run_watch import FOR_EVER_MS, assert_whole

pytestmark = pytest.mark.processes

LIMIT_SECONDS = 180
FIRST, LOST, BEGUN_LATER = "acme/rocket#12-15", "acme/rocket#16-19", "acme/rocket#28-31"
CUT_OFF = ("acme/rocket#20-23", "acme/rocket#24-27")
"""With the lost one, they are under way when everything dies; the first has ended, the last is still queued."""
ISSUES = range(12, 32)
HELD = (17, 21, 25)


class KillableGitLab:
    """A sandbox in a process of its own, which comes back at the address that it had."""

    def __init__(self) -> None:
        self._port = 0
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [PROGRAM, "sandbox", "serve", "--port", str(self._port)], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        self.url = self._process.stderr.readline().split()[1].partition("=")[2]
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        with self._process:
            self._process.kill()


@pytest.fixture
def gitlab(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KillableGitLab]:
    """In this process's environment, too."""
    del home
    started = KillableGitLab()
    monkeypatch.setenv("GITLAB_URL", started.url)
    monkeypatch.setenv("GITLAB_TOKEN", SANDBOX_TOKEN)
    try:
        yield started
    finally:
        started.kill()


def test_worker_daemon_and_gitlab_are_killed_and_each_entity_has_one_final_outcome(
    home: Path, ledger: DuckDBLedger, gitlab: KillableGitLab
) -> None:
    with SandboxControl(gitlab.url) as control:
        for iid in HELD:
            control.add_fault(f"*/issues/{iid}/discussions", delay_ms=FOR_EVER_MS)
    wish = Wish(scopes=(named_scope("acme/rocket", issues=f"{ISSUES[0]}-{ISSUES[-1]}"),), chunk=4)
    with dg.DagsterInstance.get() as instance:
        backfill_id = launch(instance, plan(wish, Settings.from_environment())).backfill_id
    kill_everything(home, ledger.path, gitlab)
    gitlab.start()
    with running_daemon(home), dg.DagsterInstance.get() as instance:
        status = once_over(instance, ledger, backfill_id)
        ended = by_scope(ledger.path)
        assert (ended[LOST].status, ended[LOST].failure_code) == ("failed", "WORKER_LOST")
        assert ended[BEGUN_LATER].status == "succeeded"
        assert status.progress.failures == {"WORKER_LOST": 4, "NETWORK_ERROR": 2}
        left = resumption(instance, ledger, find_backfill(instance, backfill_id))
        assert left.plan.chunks == (LOST, "acme/rocket#21+25")
        once_over(instance, ledger, launch(instance, left.plan, tags=left.tags).backfill_id)
        status = status_of(instance, ledger, find_backfill(instance, backfill_id))
    assert (status.progress.done, status.left, status.disagreements) == (len(ISSUES), 0, ())
    assert final_outcomes(ledger.path) == Counter(ISSUES)
    assert_whole(ledger.path)


def kill_everything(home: Path, ledger: Path, gitlab: KillableGitLab) -> None:
    """The worker of one run, then the daemon, then GitLab while the workers of two runs live on."""
    with running_daemon(home) as daemon:
        under_way = dict.fromkeys((LOST, *CUT_OFF), ("running", "dependents"))
        found = wait_for(ledger, {FIRST: ("succeeded", "done"), **under_way})
        workers = [psutil.Process(found[scope].pid) for scope in under_way]
        try:
            workers[0].kill()
            kill_daemon(daemon, spared=[worker.pid for worker in workers])
            gitlab.kill()
            ended = dict.fromkeys(CUT_OFF, ("succeeded_with_warnings", "done"))
            wait_for(ledger, {**ended, LOST: ("running", "dependents")})
            psutil.wait_procs(workers, timeout=LIMIT_SECONDS)
        finally:
            for worker in workers:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()


def by_scope(ledger: Path) -> dict[str, Row]:
    return {str(row.values["scope"]): row for row in rows(ledger).values()}


def wait_for(ledger: Path, expected: dict[str, tuple[str, str]]) -> dict[str, Row]:
    """Until the runs of these chunks have that status and phase."""

    def there() -> dict[str, Row] | None:
        found = by_scope(ledger)
        so = {scope: (found[scope].status, found[scope].phase) for scope in expected if scope in found}
        return found if so == expected else None

    return wait_until(there, limit_seconds=LIMIT_SECONDS, what=f"runs are as expected: {expected}")


def once_over(instance: dg.DagsterInstance, ledger: DuckDBLedger, backfill_id: str) -> BackfillStatus:
    """When Dagster says so."""

    def over() -> BackfillState | None:
        state = find_backfill(instance, backfill_id).state
        return state if state.over else None

    wait_until(over, limit_seconds=LIMIT_SECONDS, what=f"backfill {backfill_id} is over")
    return status_of(instance, ledger, find_backfill(instance, backfill_id))


def final_outcomes(ledger: Path) -> Counter[int]:
    """By IID, how many runs brought it up to date, with all of its dependents."""
    found = query(
        ledger,
        "SELECT iid, count(*) FROM entity_outcomes AS outcome WHERE NOT EXISTS (SELECT 1 FROM entity_failures "
        "AS failure WHERE failure.run_id = outcome.run_id AND failure.iid = outcome.iid) GROUP BY iid",
    )
    return Counter({int(str(iid)): int(str(count)) for iid, count in found})
