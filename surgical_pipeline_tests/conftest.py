"""What tests share: a sandbox GitLab, an installation of their own, and the real job run in this process."""

import gc
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_home import move_in, prepare, run_job
from surgical_pipeline_tests.surroundings import REPOSITORY, skip_or_fail

Sync = Callable[..., SyncResult]


def pytest_unconfigure() -> None:
    """Take Hypothesis' callback out of `gc.callbacks`, a list that outlives the interpreter's clean-up of modules.

    It keeps alive what property tests have touched, our modules and DuckDB's among it, and then DuckDB's bindings
    report each of their types and functions as leaked: some forty lines after pytest's summary.
    """
    gc.callbacks[:] = [one for one in gc.callbacks if not getattr(one, "__module__", "").startswith("hypothesis.")]


@pytest.fixture(scope="session")
def gitlab_payloads() -> Path:
    """Real GitLab answers and schemas, which lie beside the repository."""
    folder = REPOSITORY.parent / "shared" / "gitlab_payloads"
    if not folder.is_dir():
        skip_or_fail(f"real GitLab payloads are expected in {folder}")
    return folder


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
def home(tmp_path: Path, prepared_home: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DAGSTER_HOME in which nothing has run, with the environment pointing at it and at the sandbox."""
    shutil.copytree(prepared_home, tmp_path, dirs_exist_ok=True)
    move_in(tmp_path, sandbox, monkeypatch=monkeypatch)
    return tmp_path


@pytest.fixture
def ledger(home: Path) -> DuckDBLedger:
    return DuckDBLedger(home / "ledger.duckdb")


@pytest.fixture
def sync(ledger: DuckDBLedger) -> Sync:
    """Run the real job over a scope text, in this process; gives what the ledger says of it."""
    return partial(run_job, ledger)
