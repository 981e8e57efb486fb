"""Runs as Celery tasks: what ends them, what comes twice, and what a worker's process keeps from run to run."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import pack_value

from surgical_pipeline.defs.backfills import launch, plan
from surgical_pipeline.defs.celery_worker import execute_job
from surgical_pipeline.defs.pruning.both_sides import prune
from surgical_pipeline.domain.backfill import Wish, named_scope
from surgical_pipeline.domain.pruning import PruneWish
from surgical_pipeline.ledger.clock import utc_now
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline.settings import Settings
from surgical_pipeline_tests.acceptance.installation import OURS, PROGRAM
from surgical_pipeline_tests.dagster_dev import end_tree, wait_until
from surgical_pipeline_tests.postgres_server import PASSWORD, USER, PostgresServer
from surgical_pipeline_tests.quick_daemon import running_daemon
from surgical_pipeline_tests.redis_server import RedisServer, redis_server
from surgical_pipeline_tests.run_watch import FOR_EVER_MS
from surgical_pipeline_tests.surroundings import REPOSITORY

pytestmark = pytest.mark.processes

LIMIT_SECONDS = 120
SETTINGS = REPOSITORY / "deploy" / "celery" / "dagster.yaml"
WORKER = ("-A", "surgical_pipeline.defs.celery_worker", "worker", "--concurrency", "1", "--loglevel", "INFO")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


@dataclass(frozen=True)
class Installed:
    """Dagster's daemon, and a worker with one process for runs."""

    instance: dg.DagsterInstance
    home: Path
    redis: RedisServer
    postgres: PostgresServer
    database: str
    sandbox: RunningSandbox

    def launch(self, issues: str) -> None:
        """One run, as Dagster's daemon makes those of a backfill."""
        wish = Wish(scopes=(named_scope("acme/rocket", issues=issues),))
        launch(self.instance, plan(wish, Settings.from_environment()))

    def begun(self, scope: str, *, phase: str = "dependents") -> dict[str, Any]:
        """The row of the run of that scope, once it is in that phase."""
        return self.row(f"scope = '{scope}' AND phase = '{phase}'", what=f"{scope} is in {phase}")

    def ended(self, run_id: str) -> dict[str, Any]:
        """The row once ledger and Dagster have it as ended."""
        told = "dagster_status IN ('SUCCESS', 'FAILURE', 'CANCELED')"
        return self.row(f"run_id = '{run_id}' AND finished_at IS NOT NULL AND {told}", what=f"{run_id} has ended")

    def row(self, condition: str, *, what: str) -> dict[str, Any]:
        names = ("run_id", "status", "phase", "failure_code", "dagster_status", "pid", "number")

        def there() -> dict[str, Any] | None:
            found = self.postgres.rows(
                self.database, f"SELECT {', '.join(names)} FROM sync_runs WHERE {condition} ORDER BY number DESC"
            )
            return dict(zip(names, found[0], strict=True)) if found else None

        wait_until(self.migrated, limit_seconds=LIMIT_SECONDS, what="the ledger is there")
        return wait_until(there, limit_seconds=LIMIT_SECONDS, what=what)

    def migrated(self) -> bool:
        return self.postgres.ledger(self.database).exists

    def cancel(self, run_id: str) -> None:
        """As the button *Terminate* does."""
        assert self.instance.run_coordinator.cancel_run(run_id)

    def messages(self, run_id: str) -> list[str]:
        return [entry.message for entry in self.instance.all_logs(run_id)]


@contextmanager
def running_worker(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """With a DAGSTER_HOME of its own, as on another machine."""
    own = home / "worker"
    own.mkdir()
    shutil.copy(SETTINGS, own / "dagster.yaml")
    with (own / "log").open("ab") as log:
        worker = subprocess.Popen(
            [str(Path(sys.executable).parent / "celery"), *WORKER, *QUIET],
            env={**os.environ, "DAGSTER_HOME": str(own)},
            cwd=own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield worker
    finally:
        end_tree(worker)


@pytest.fixture(scope="module")
def celery(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, running_sandbox: RunningSandbox
) -> Iterator[Installed]:
    home = tmp_path_factory.mktemp("celery")
    with redis_server(home) as redis, postgres.temporary() as database, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OURS)]:
            patch.delenv(name)
        own = {
            "DAGSTER_HOME": str(home),
            "GITLAB_URL": running_sandbox.url,
            "GITLAB_TOKEN": running_sandbox.token,
            "SURGICAL_LEDGER": postgres.url(database),
            "DAGSTER_POSTGRES_HOST": postgres.host,
            "DAGSTER_POSTGRES_PORT": str(postgres.port),
            "DAGSTER_POSTGRES_USER": USER,
            "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
            "DAGSTER_POSTGRES_DB": database,
            "CELERY_BROKER_URL": redis.url,
            "CELERY_RESULT_BACKEND": redis.url,
        }
        for name, value in own.items():
            patch.setenv(name, value)
        with running_daemon(home, SETTINGS), running_worker(home), dg.DagsterInstance.get() as instance:
            yield Installed(instance, home, redis, postgres, database, running_sandbox)


@pytest.fixture(autouse=True)
def _no_faults(running_sandbox: RunningSandbox) -> Iterator[None]:
    running_sandbox.control.reset()
    yield
    running_sandbox.control.reset()


def test_a_run_that_is_terminated_ends_cancelled_and_the_next_in_the_same_process_knows_nothing_of_it(
    celery: Installed,
) -> None:
    celery.sandbox.control.add_fault("*/issues/12/discussions", delay_ms=FOR_EVER_MS)
    celery.launch("12-13")
    first = celery.begun("acme/rocket#12+13")
    celery.cancel(first["run_id"])
    ended = celery.ended(first["run_id"])
    assert (ended["status"], ended["phase"], ended["dagster_status"]) == ("cancelled", "cancelled", "CANCELED")
    assert not [told for told in celery.messages(first["run_id"]) if "taking longer than" in told], "by itself"

    celery.sandbox.control.reset()
    celery.launch("14-15")
    second = celery.ended(celery.begun("acme/rocket#14+15", phase="done")["run_id"])
    assert (second["status"], second["dagster_status"]) == ("succeeded", "SUCCESS")
    assert second["pid"] == first["pid"], "one process ran both"


def test_a_task_that_is_delivered_again_runs_nothing(celery: Installed) -> None:
    """As Redis does with a message of which it hears nothing; here this process is the other worker."""
    celery.sandbox.control.add_fault("*/issues/16/discussions", delay_ms=5_000)
    celery.launch("16-17")
    first = celery.begun("acme/rocket#16+17")
    assert again(celery.instance, first["run_id"]) == 0
    assert "Ignoring a duplicate run" in celery.messages(first["run_id"])[-2]
    ended = celery.ended(first["run_id"])
    assert (ended["status"], ended["dagster_status"], ended["pid"]) == ("succeeded", "SUCCESS", first["pid"])
    assert again(celery.instance, first["run_id"]) == 0
    assert "started after the run had already finished" in celery.messages(first["run_id"])[-2]
    assert celery.ended(first["run_id"]) == ended


def again(instance: dg.DagsterInstance, run_id: str) -> Any:
    """Take the task of a run again; gives its result."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.job_code_origin is not None
    task = ExecuteRunArgs(run.job_code_origin, run_id, instance.get_ref(), set_exit_code_on_failure=True)
    return execute_job.apply(kwargs={"execute_job_args_packed": pack_value(task)}).get()


def test_a_run_of_which_redis_forgot_everything_comes_to_its_end(celery: Installed) -> None:
    """As after a restart without persistence: Celery calls the task pending, while run monitoring looks."""
    celery.sandbox.control.add_fault("*/issues/24/discussions", delay_ms=12_000)
    celery.launch("24-25")
    first = celery.begun("acme/rocket#24+25")
    with celery.redis.client() as client:
        client.flushall()
    ended = celery.ended(first["run_id"])
    assert (ended["status"], ended["dagster_status"]) == ("succeeded", "SUCCESS")


def test_a_run_whose_process_is_killed_is_lost_in_ledger_and_dagster_and_the_worker_takes_the_next(
    celery: Installed,
) -> None:
    celery.sandbox.control.add_fault("*/issues/18/discussions", delay_ms=FOR_EVER_MS)
    celery.launch("18-19")
    first = celery.begun("acme/rocket#18+19")
    os.kill(first["pid"], signal.SIGKILL)
    ended = celery.ended(first["run_id"])
    assert (ended["status"], ended["failure_code"]) == ("failed", "WORKER_LOST")
    assert ended["dagster_status"] == "FAILURE"
    celery.sandbox.control.reset()
    celery.launch("20-21")
    assert celery.begun("acme/rocket#20+21", phase="done")["pid"] != first["pid"]


def test_a_run_of_the_command_line_is_left_alone_by_run_monitoring(celery: Installed) -> None:
    """It has no task, whose state Dagster could ask for."""
    celery.sandbox.control.add_fault("*/issues/22/discussions", delay_ms=12_000)
    done = subprocess.run(
        [PROGRAM, "sync", "acme/rocket#22", "--json"], capture_output=True, text=True, check=False, cwd=celery.home
    )
    assert done.returncode == 0, done.stderr
    assert "Hit error while monitoring run" not in (celery.home / "daemon.log").read_text()


def test_prune_deletes_runs_and_events_of_dagster_in_postgresql(celery: Installed) -> None:
    before = celery.instance.get_runs_count()
    report = prune(celery.instance, Settings.from_environment(), PruneWish(before=utc_now()))
    left = celery.instance.get_runs()
    assert report.dagster.runs == before - len(left) > 0
    assert left, "the newest of each asset stays"
    kept = "', '".join(run.run_id for run in left)
    others = f"run_id NOT IN ('{kept}')"
    for table in ("public.event_logs", "public.asset_check_executions"):
        found = celery.postgres.rows(
            celery.database, f"SELECT run_id FROM {table} WHERE {others} AND run_id <> ''"
        )
        assert found == [], table
