"""Workers of two versions of the program at one ledger, each its own process: the older goes on, or stops.

The newer program is a copy of this one with one or two more migrations; beside that, where there is a history, the
commit before this one works beside this one.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from surgical_pipeline.ledger import sql
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests import ledger_gate
from surgical_pipeline_tests.acceptance.installation import PROGRAM, Done, Installation
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.newer_schema import KNOWN, contraction, expansion, newer
from surgical_pipeline_tests.postgres_server import PostgresServer
from surgical_pipeline_tests.store_equals_sandbox import differences_of
from surgical_pipeline_tests.surroundings import REPOSITORY

pytestmark = pytest.mark.processes

MANY, EDITED = "acme/rocket#22-45", range(22, 46)
SLOW = "/api/v4/projects/*/issues/*/*"
LIMIT_SECONDS = 90


@dataclass(frozen=True)
class Shared:
    """A DAGSTER_HOME and a ledger that programs of several versions use."""

    installation: Installation
    ledger: Ledger
    address: str
    server: PostgresServer | None

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        if isinstance(self.ledger, DuckDBLedger):
            with ledger_gate.held(self.ledger.path):
                return query(self.ledger.path, text)
        assert self.server is not None
        found = self.server.rows(self.address.rpartition("/")[2], text)
        return [tuple(json.dumps(one) if isinstance(one, dict) else one for one in row) for row in found]

    def environment(self, program: Path | None) -> dict[str, str]:
        """``program``: the folder whose package is run; None: this repository's."""
        own = {"SURGICAL_LEDGER": self.address} | ({} if program is None else {"PYTHONPATH": str(program)})
        return self.installation.environment | own

    def run(self, program: Path | None, *arguments: str) -> Done:
        return self.installation.run(*arguments, **self.environment(program))

    @contextmanager
    def syncing(self, program: Path | None, scope: str) -> Iterator["subprocess.Popen[str]"]:
        """A sync that has begun to fetch dependents, which takes as long as the sandbox is slow."""
        before = self._runs()
        with subprocess.Popen(
            [PROGRAM, "sync", scope, "--json", "--entity-timeout-seconds", "60"],
            env=self.environment(program),
            cwd=self.installation.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                wait_until(
                    lambda: "dependents" in self._runs()[len(before) :] or process.poll() is not None,
                    limit_seconds=LIMIT_SECONDS,
                    what="the run fetches dependents",
                )
                assert process.poll() is None, process.communicate()
                yield process
            finally:
                process.kill()

    def _runs(self) -> list[str]:
        if not self.ledger.exists:
            return []
        return [str(phase) for (phase,) in self.rows("SELECT phase FROM sync_runs ORDER BY number")]

    def differences(self, sandbox: RunningSandbox) -> list[Any]:
        headers = {"PRIVATE-TOKEN": sandbox.token}
        with httpx.Client(base_url=f"{sandbox.url}/api/v4", headers=headers, timeout=30, trust_env=False) as api:
            return differences_of(self.rows, api)


@pytest.fixture(params=["duckdb", "postgres"])
def shared(tmp_path: Path, sandbox: RunningSandbox, request: pytest.FixtureRequest) -> Iterator[Shared]:
    home = tmp_path / "home"
    home.mkdir()
    installation = Installation.make(home, sandbox)
    if request.param == "duckdb":
        path = home / "ledger.duckdb"
        yield Shared(installation, DuckDBLedger(path), str(path), None)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.temporary() as database:
        yield Shared(installation, server.ledger(database), server.url(database), server)


def program(folder: Path, *later: sql.Migration) -> Path:
    """This program with later migrations."""
    copied = folder / "surgical_pipeline"
    shutil.copytree(REPOSITORY / "surgical_pipeline", copied, ignore=shutil.ignore_patterns("__pycache__"))
    for one in later:
        (copied / "ledger/sql/migrations" / f"{one.version:04}_{one.name}.sql").write_text(one.text)
    return folder


def test_a_worker_goes_on_beside_a_newer_program_and_stops_when_a_later_one_says_so(
    shared: Shared, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    first, second = expansion(), contraction(version=KNOWN + 2)
    expanded = program(tmp_path / "expanded", first)
    contracted = program(tmp_path / "contracted", first, second)

    sandbox.control.add_fault(SLOW, delay_ms=2000)
    with shared.syncing(None, MANY) as older:
        assert shared.run(expanded, "sync", "acme/rocket!34", "--json").returncode == 0
        assert shared.rows("SELECT MAX(version) FROM schema_migrations") == [(first.version,)]
        assert older.poll() is None
        sandbox.control.clear_faults()
        told, complaint = older.communicate(timeout=LIMIT_SECONDS)
    assert older.returncode == 0, complaint
    assert json.loads(told)["completion_status"] == "succeeded"
    assert shared.differences(sandbox) == []
    assert len(shared.rows("SELECT iid FROM entities")) == len(shared.rows("SELECT iid FROM issues")) + 1

    for iid in EDITED:
        sandbox.control.update_issue(iid, title=f"Edited {iid}")
    sandbox.control.add_fault(SLOW, delay_ms=2000)
    with shared.syncing(None, MANY) as older:
        with newer(shared.ledger, first, second).write("migrate"):
            pass
        before = content(shared)
        sandbox.control.clear_faults()
        _, complaint = older.communicate(timeout=LIMIT_SECONDS)
    assert older.returncode == 1
    says = f"schema version {second.version}, this program knows versions up to {KNOWN} and would have to know"
    assert says in complaint
    assert "Traceback" not in complaint
    assert content(shared) == before

    assert shared.run(contracted, "sync", MANY, "--json").returncode == 0
    statuses = [status for (status,) in shared.rows("SELECT status FROM sync_runs ORDER BY number")]
    assert statuses == ["succeeded", "succeeded", "failed", "succeeded"]
    assert shared.differences(sandbox) == []
    assert json.loads(shared.run(contracted, "ledger", "check", "--json").stdout)["violations"] == []


def content(shared: Shared) -> list[tuple[Any, ...]]:
    """What a write would change."""
    tables = ("sync_runs", "entities", "dependent_fetches", "documents", "embeddings")
    return [row for table in tables for row in shared.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3")]


def test_two_programs_that_migrate_at_once_both_work(shared: Shared, tmp_path: Path) -> None:
    with shared.ledger.write("make"):
        pass
    first, second = expansion(), contraction(version=KNOWN + 2)
    programs = [program(tmp_path / "one", first, second), program(tmp_path / "two", first, second)]
    looking = [
        subprocess.Popen(
            [PROGRAM, "ledger", "check", "--json"],
            env=shared.environment(one),
            cwd=shared.installation.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for one in programs
    ]
    for process in looking:
        told, complaint = process.communicate(timeout=LIMIT_SECONDS)
        assert process.returncode == 0, complaint
        assert json.loads(told)["violations"] == []
    versions = shared.rows("SELECT version FROM schema_migrations ORDER BY version")
    assert [version for (version,) in versions] == [*range(1, KNOWN + 3)]


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """The package of the commit before this one."""
    command = ["git", "archive", "HEAD~1", "surgical_pipeline"]
    found = (
        subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False) if shutil.which("git") else None
    )
    if found is None or found.returncode:
        pytest.skip("this checkout has no history: an export, or a clone of one commit")
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(tmp_path / "previous", filter="data")
    return tmp_path / "previous"


@pytest.mark.parametrize("shared", ["postgres"], indirect=True)
def test_the_commit_before_this_one_works_beside_it_or_is_refused_clearly(
    shared: Shared, sandbox: RunningSandbox, previous: Path
) -> None:
    before, needed = known_by(previous), max(one.oldest_program for one in sql.migrations())
    sandbox.control.add_fault(SLOW, delay_ms=2000)
    with shared.syncing(previous, MANY) as older:
        assert shared.run(None, "sync", "acme/rocket!34", "--json").returncode == 0
        sandbox.control.clear_faults()
        _, complaint = older.communicate(timeout=LIMIT_SECONDS)
    if needed > before:
        assert older.returncode == 1
        assert "this program knows versions up to" in complaint
        assert shared.run(None, "runs", "reconcile").returncode == 0
    else:
        assert older.returncode == 0, complaint
        assert shared.run(previous, "ledger", "check").returncode == 0
    assert shared.run(None, "sync", MANY).returncode == 0
    assert shared.differences(sandbox) == []


def known_by(program: Path) -> int:
    """The newest version of the schema that it knows."""
    asked = "from surgical_pipeline.ledger import sql; print(sql.migrations()[-1].version)"
    environment = os.environ | {"PYTHONPATH": str(program)}
    done = subprocess.run([sys.executable, "-c", asked], env=environment, cwd="/", capture_output=True, check=True)
    return int(done.stdout)
