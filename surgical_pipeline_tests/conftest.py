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
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_home import move_in, prepare, run_job
from surgical_pipeline_tests.surroundings import REPOSITORY, skip_or_fail

Sync = Callable[..., SyncResult]
TESTS = Path(__file__).parent
MANY_PROCESSES = ("processes", "dagster_dev")
"""Markers of tests that start many; the first are over before `dagster dev` takes its share of the cores."""
LAST = len(MANY_PROCESSES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Which tests share a worker, when they run in several: those of a file, with what it sets up for all of them.

    Tests that start many processes share one, so that no two such tests compete for the cores, and there is one
    `dagster dev` at a time. They come first, because they take longest.
    """
    items.sort(key=_turn)
    for item in items:
        file = str(item.path.relative_to(TESTS))
        item.add_marker(pytest.mark.xdist_group(file if _turn(item) == LAST else "processes"))


def _turn(item: pytest.Item) -> int:
    return next((turn for turn, name in enumerate(MANY_PROCESSES) if item.get_closest_marker(name)), LAST)


@atexit.register
def _no_leak_reports() -> None:
    """Close stderr at the very end, before DuckDB's bindings report what of theirs is still alive: forty lines.

    It is alive because of what no clean-up reaches: the callback that Hypothesis leaves in `gc.callbacks`, and
    errors of Pydantic, which keep a validator's exception and its traceback where the garbage collector does not
    look. pytest has collected garbage and shown its warnings by now, and the exit code stays what it is.
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
