"""An installation on three machines: the control machine, where this process is, and two with a worker each."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import OURS
from surgical_pipeline_tests.many_machines.hosts import DATABASE, SERVICES, Host, become_control
from surgical_pipeline_tests.postgres_server import PASSWORD, USER, PostgresServer, postgres_server
from surgical_pipeline_tests.quick_daemon import running_daemon
from surgical_pipeline_tests.redis_server import RedisServer, redis_server
from surgical_pipeline_tests.surroundings import REPOSITORY

SETTINGS = REPOSITORY / "deploy" / "celery" / "dagster.yaml"
ISSUES = range(121, 621)
"""Those before are written by hand, and some of them are not there."""
PROCESSES = 1
"""Of each worker: fewer than Dagster launches runs at a time, so that one waits in the broker."""
_PROGRAMS = Path(sys.executable).parent
_WORKER = (
    *(
        str(_PROGRAMS / "celery"),
        "-A",
        "surgical_pipeline.defs.celery_worker",
        "worker",
        "--concurrency",
        str(PROCESSES),
    ),
    *("--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"),
)


@dataclass(frozen=True)
class Cluster:
    """``east``: its clock is a day ahead; ``west``: a day behind. Those of control are right."""

    home: Path
    sandbox: RunningSandbox
    redis: RedisServer
    postgres: PostgresServer
    database: str
    ledger: PostgresLedger
    east: Host
    west: Host

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Of the ledger, in SQL."""
        return self.postgres.rows(self.database, text)

    def start_worker(self, host: Host) -> None:
        home = host.folder / "home"
        home.mkdir(exist_ok=True)
        shutil.copy(SETTINGS, home / "dagster.yaml")
        host.start(*_WORKER)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """In the process that `hosts.alone` started, whose environment is then that of the control machine."""
    become_control()
    home = folder / "control"
    home.mkdir()
    with (
        RunningSandbox(build_sample(issues=ISSUES[-1]), host=f"{SERVICES}.1") as sandbox,
        redis_server(home, host=f"{SERVICES}.1", port=6379) as redis,
        postgres_server(f"{DATABASE}.1", network=f"{DATABASE}.0/24") as postgres,
        postgres.temporary() as database,
    ):
        own = {
            "GITLAB_URL": sandbox.url,
            "GITLAB_TOKEN": sandbox.token,
            "SURGICAL_LEDGER": postgres.url(database),
            "DAGSTER_POSTGRES_HOST": postgres.host,
            "DAGSTER_POSTGRES_PORT": str(postgres.port),
            "DAGSTER_POSTGRES_USER": USER,
            "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
            "DAGSTER_POSTGRES_DB": database,
            "CELERY_BROKER_URL": redis.url,
            "CELERY_RESULT_BACKEND": redis.url,
        }
        for name in [name for name in os.environ if name.startswith(OURS)]:
            del os.environ[name]
        os.environ.update(own, DAGSTER_HOME=str(home), PATH=f"{_PROGRAMS}:{os.environ['PATH']}")
        hosts = [
            Host(
                name,
                number,
                folder / name,
                {**os.environ, "DAGSTER_HOME": str(folder / name / "home")},
                clock=clock,
            )
            for name, number, clock in (("east", 2, "+1d"), ("west", 3, "-1d"))
        ]
        cluster = Cluster(home, sandbox, redis, postgres, database, postgres.ledger(database), *hosts)
        with running_daemon(home, SETTINGS):
            try:
                for host in hosts:
                    host.boot()
                    cluster.start_worker(host)
                yield cluster
            finally:
                for host in hosts:
                    host.lose_power()
