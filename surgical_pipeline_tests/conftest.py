"""What tests share: a sandbox GitLab, an installation of their own, and the real job run in this process."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS, Dependent
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import Ledger
from surgical_pipeline.ledger.runs import load_result
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.published_schemas import check_document
from surgical_pipeline_tests.surroundings import REPOSITORY, skip_or_fail


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


@pytest.fixture
def home(tmp_path: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DAGSTER_HOME, with the environment pointing at it and at the sandbox."""
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    for name in [name for name in os.environ if name.startswith(("SURGICAL_", "GITLAB_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("GITLAB_URL", sandbox.url)
    monkeypatch.setenv("GITLAB_TOKEN", sandbox.token)
    return tmp_path


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return Ledger(home / "ledger.duckdb")


Sync = Callable[..., SyncResult]


@pytest.fixture
def sync(ledger: Ledger) -> Sync:
    """Run the real job over a scope text, in this process; gives what the ledger says of it."""
    from surgical_pipeline.defs.launch import launch  # noqa: PLC0415  most tests do not need Dagster

    def run(
        scope: str, *, budgets: Budgets | None = None, dependents: tuple[Dependent, ...] = CORE_DEPENDENTS
    ) -> SyncResult:
        run_id = launch(Scope.parse(scope), budgets=budgets or Budgets(), dependents=dependents, ledger=ledger)
        with ledger.read() as tx:
            result = load_result(tx, run_id)
        assert result is not None
        check_document("sync-result.schema.json", result.model_dump(mode="json"))
        return result

    return run
