"""What tests share: a sandbox GitLab, an installation of their own, and the real job run in this process."""

import atexit
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_home import move_in, prepare, run_job
from surgical_pipeline_tests.postgres_server import PostgresServer, postgres_server
from surgical_pipeline_tests.surroundings import REPOSITORY, skip_or_fail
from surgical_pipeline_tests.workers import FilesTogether, turn

Sync = Callable[..., SyncResult]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: turn(item.path))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked ``both_ledgers`` that have a ledger run over a DuckDB file and over PostgreSQL."""
    if metafunc.definition.get_closest_marker("both_ledgers") and "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", ["duckdb", "postgres"], indirect=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FilesTogether:
    config.option.loadscopereorder = False  # the order is that of the collection
    return FilesTogether(config, log)


@atexit.register
def _no_leak_reports() -> None:
    """Close stderr at the very end, before DuckDB's bindings report what of theirs is still alive: forty lines.

    It is alive because of what no clean-up reaches, such as the callback that Hypothesis leaves in `gc.callbacks`.
    pytest has collected garbage and shown its warnings by now, and the exit code stays what it is.
    """
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


@pytest.fixture(scope="session")
def gitlab_payloads() -> Path:
    """Real GitLab answers and schemas, which lie beside the repository."""
    folder = REPOSITORY.parent / "shared" / "gitlab_payloads"
    if not folder.is_dir():
        skip_or_fail(f"real GitLab payloads are expected in {folder}")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server in which tests make databases."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[RunningSandbox]:
    with RunningSandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: RunningSandbox) -> RunningSandbox:
    """The sandbox as it is after a fresh start."""
    running_sandbox.control.reset()
    return running_sandbox


@pytest.fixture(scope="session")
def prepared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("prepared")
    prepare(home)
    return home


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """Where the ledger is."""
    return str(getattr(request, "param", "duckdb"))


@pytest.fixture
def ledger_database(postgres: PostgresServer) -> Iterator[str]:
    """An empty database for the ledger of one test."""
    with postgres.temporary() as database:
        yield database


@pytest.fixture
def home(
    tmp_path: Path,
    sandbox: RunningSandbox,
    backend: str,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """An empty DAGSTER_HOME, with the environment pointing at it, at the sandbox and at the ledger."""
    move_in(tmp_path, sandbox, monkeypatch=monkeypatch)
    if backend == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        monkeypatch.setenv("SURGICAL_LEDGER", server.url(request.getfixturevalue("ledger_database")))
    return tmp_path


@pytest.fixture
def ledger(home: Path, backend: str, request: pytest.FixtureRequest) -> Ledger:
    """Where ``backend`` says; nothing was ever written to it."""
    if backend == "duckdb":
        return DuckDBLedger(home / "ledger.duckdb")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.ledger(request.getfixturevalue("ledger_database"))


@pytest.fixture
def sync(home: Path, ledger: Ledger, prepared_home: Path) -> Sync:
    """Run the real job over a scope text, in this process; gives what the ledger says of it."""
    shutil.copytree(prepared_home, home, dirs_exist_ok=True)
    return partial(run_job, ledger)
