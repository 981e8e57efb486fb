"""The whole program over a ledger in PostgreSQL: nothing but SURGICAL_LEDGER says so."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from surgical_pipeline.ledger.postgres.windows import PostgresLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import PROGRAM, Done, Installation
from surgical_pipeline_tests.postgres_server import PASSWORD, PostgresServer

SLOW = "/api/v4/projects/*/issues/13/discussions"


@dataclass(frozen=True)
class Installed:
    """A DAGSTER_HOME whose ledger is a database of its own."""

    installation: Installation
    server: PostgresServer
    database: str

    def run(self, *arguments: str, **environment: str) -> Done:
        url = self.server.url(self.database)
        return self.installation.run(*arguments, **({"SURGICAL_LEDGER": url} | environment))

    def document(self, *arguments: str, exit_code: int = 0, **environment: str) -> Any:
        done = self.run(*arguments, "--json", **environment)
        assert done.returncode == exit_code, done.stderr
        return json.loads(done.stdout)

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        return self.server.rows(self.database, text)

    @contextmanager
    def syncing(self, scope: str, *, until: str) -> Iterator["subprocess.Popen[str]"]:
        """A sync that goes on, once its run is in that phase; killed at the end if it still runs."""
        environment = self.installation.environment | {"SURGICAL_LEDGER": self.server.url(self.database)}
        command = [PROGRAM, "sync", scope, "--json"]
        with subprocess.Popen(
            command,
            env=environment,
            cwd=self.installation.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                while process.poll() is None and self._phase() != until:
                    threading.Event().wait(0.1)
                yield process
            finally:
                process.kill()

    def _phase(self) -> str | None:
        made = self.rows("SELECT to_regclass('main.sync_runs') IS NOT NULL")[0][0]
        found = self.rows("SELECT phase FROM sync_runs ORDER BY number DESC LIMIT 1") if made else []
        return str(found[0][0]) if found else None

    @property
    def ledger(self) -> PostgresLedger:
        return self.server.ledger(self.database)

    @property
    def files(self) -> list[Path]:
        return [path for path in self.installation.home.rglob("*") if path.is_file()]


@pytest.fixture
def installed(tmp_path: Path, sandbox: RunningSandbox, postgres: PostgresServer) -> Iterator[Installed]:
    with postgres.temporary() as database:
        yield Installed(Installation.make(tmp_path, sandbox), postgres, database)


def test_a_sync_a_retry_and_what_reads_them_need_no_file(installed: Installed, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(SLOW, delay_ms=30_000)
    options = ("--dependents", "discussions,links,label_events", "--entity-timeout-seconds", "1")
    partly = installed.document("sync", "acme/rocket#12-14+9999!34", *options, exit_code=3)
    assert partly["counters"]["ingested"] == 4
    failed = {(one["entity"], one["code"]) for one in partly["entity_failures"]}
    assert failed == {("acme/rocket#13", "TIMEOUT"), ("acme/rocket#9999", "NOT_FOUND")}
    sandbox.control.reset()
    retried = installed.document("retry", partly["run_id"])["result"]
    assert retried["completion_status"] == "succeeded"

    assert installed.rows("SELECT run_id, status, phase FROM sync_runs ORDER BY number") == [
        (partly["run_id"], "succeeded_with_warnings", "done"),
        (retried["run_id"], "succeeded", "done"),
    ]
    assert installed.rows("SELECT COUNT(*), COUNT(failure_code) FROM entity_outcomes") == [(6, 1)]
    documents = installed.rows("SELECT COUNT(*) FROM documents WHERE deleted_at IS NULL")
    assert documents == installed.rows("SELECT COUNT(DISTINCT document_id) FROM embeddings")
    assert documents[0][0] > 4

    assert installed.run("runs", "reconcile").returncode == 0
    assert installed.rows("SELECT DISTINCT dagster_status FROM sync_runs") == [("SUCCESS",)]
    shown = installed.document("runs", "show", partly["run_id"][:8])
    assert shown["counters"] == partly["counters"]
    assert len(installed.document("runs", "list")) == 2
    assert installed.document("ledger", "check")["violations"] == []
    found = installed.document("search", "acme/rocket#12")
    assert found[0]["entity"] == "acme/rocket#12"
    assert installed.document("embed-backlog")["remaining"] == 0
    reported = installed.document("report", "--html", "page.html")
    assert [one["run_id"] for one in reported["newest_runs"]["items"]] == [retried["run_id"], partly["run_id"]]
    assert reported["ledger"]["file_bytes"] > 10_000
    assert installed.document("events", "list") == []
    assert installed.document("prune", "--older-than", "1d", "--dry-run")["ledger"]["runs"] == 0
    assert not [path for path in installed.files if path.suffix == ".duckdb"]


def test_a_worker_that_is_killed_is_told_and_its_retry_succeeds(
    installed: Installed, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault(SLOW, delay_ms=15_000)
    with installed.syncing("acme/rocket#12+13", until="dependents") as process:
        process.kill()
        process.wait()
    assert installed.rows("SELECT status FROM sync_runs") == [("running",)]
    sandbox.control.reset()
    assert installed.run("runs", "reconcile").returncode == 0
    ((run_id, status, code, phase),) = installed.rows("SELECT run_id, status, failure_code, phase FROM sync_runs")
    assert (status, code, phase) == ("failed", "WORKER_LOST", "dependents")
    assert installed.rows("SELECT DISTINCT failure_code FROM entity_outcomes") == [("WORKER_LOST",)]
    assert installed.document("retry", run_id)["result"]["completion_status"] == "succeeded"
    assert installed.document("ledger", "check")["violations"] == []


def test_a_server_that_restarts_between_two_windows_is_waited_for(
    installed: Installed, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault(SLOW, delay_ms=8_000)
    with installed.syncing("acme/rocket#12+13", until="dependents") as process:
        installed.server.restart()
        told, _ = process.communicate(timeout=90)
    assert process.returncode == 0
    assert json.loads(told)["completion_status"] == "succeeded"


def test_a_copy_of_it_is_published_as_a_duckdb_file_and_its_tables_are_exported(
    installed: Installed, tmp_path: Path
) -> None:
    installed.document("sync", "acme/rocket#12")
    published = installed.document("publish", SURGICAL_PUBLISH=str(tmp_path / "published"))
    with duckdb.connect(f"{published['path']}/gitlab.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT iid FROM issues").fetchall() == [(12,)]
    told = installed.document("export", "issues", "notes", "--to", "{table}.parquet")
    assert told["rows"]["issues"] == 1
    assert len(pd.read_parquet(installed.installation.home / "notes.parquet")) == told["rows"]["notes"] > 0


@pytest.mark.parametrize("command", [("ledger", "backup", "copy.duckdb"), ("ledger", "compact")])
def test_what_works_with_a_file_alone_says_which_tool_does_it(
    installed: Installed, command: tuple[str, ...]
) -> None:
    refused = installed.run(*command)
    assert refused.returncode == 2
    assert "pg_dump" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_password_is_nowhere(installed: Installed) -> None:
    outputs = [
        installed.run("sync", "acme/rocket#12", "--json"),
        installed.run("doctor"),
        installed.run("runs", "list", SURGICAL_LEDGER=installed.server.url("no_such_database")),
        installed.run("runs", "list", SURGICAL_LEDGER=f"postgresql://u:{PASSWORD}/x@h:bad/db"),
    ]
    assert [done.returncode for done in outputs] == [0, 0, 1, 2]
    for done in outputs:
        assert PASSWORD not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    for path in installed.files:
        assert PASSWORD.encode() not in path.read_bytes(), path


def test_a_password_file_serves_as_well(installed: Installed, tmp_path: Path) -> None:
    secrets = tmp_path / "pgpass"
    secrets.write_text(f"127.0.0.1:*:*:*:{PASSWORD}\n")
    secrets.chmod(0o600)
    url = installed.server.url(installed.database, password=None)
    assert installed.run("sync", "acme/rocket#12", SURGICAL_LEDGER=url, PGPASSFILE=str(secrets)).returncode == 0
    refused = installed.run("runs", "list", SURGICAL_LEDGER=url)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1


def test_a_ledger_moves_both_ways_and_stays_the_same_ledger(installed: Installed, tmp_path: Path) -> None:
    first = installed.document("sync", "acme/rocket#12+13!34", SURGICAL_LEDGER="")
    file, url = str(installed.installation.ledger), installed.server.url(installed.database)
    there = installed.document("ledger", "copy", file, url)
    assert there["tables"]["documents"]["rows"] == there["tables"]["documents"]["written"] > 0
    again = installed.document("ledger", "copy", file, url)
    assert {name: one["written"] for name, one in again["tables"].items() if one["written"]} == {}

    second = installed.document("sync", "acme/rocket#14")
    assert [one["run_id"] for one in installed.document("runs", "list")] == [second["run_id"], first["run_id"]]
    assert installed.document("ledger", "check")["violations"] == []
    assert installed.document("search", "acme/rocket#12")

    refused = installed.run("ledger", "copy", file, url)
    assert refused.returncode == 2
    assert "does not have" in refused.stderr
    back = installed.document("ledger", "copy", url, str(tmp_path / "back.duckdb"))
    assert back["tables"]["sync_runs"]["rows"] == 2
    checked = installed.document("ledger", "check", SURGICAL_LEDGER=str(tmp_path / "back.duckdb"))
    assert checked["violations"] == []
