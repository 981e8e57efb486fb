"""One `dagster dev` for all acceptance tests: it takes 10 s to start."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import DagsterDev, running_dagster_dev


@pytest.fixture(scope="package")
def dev_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dagster-home")


@pytest.fixture(scope="package")
def dev(dev_home: Path, running_sandbox: RunningSandbox) -> Iterator[DagsterDev]:
    """Its ledger is `ledger.duckdb` in `dev_home`."""
    environment = {
        "GITLAB_URL": running_sandbox.url,
        "GITLAB_TOKEN": running_sandbox.token,
        "SURGICAL_LEDGER": str(dev_home / "ledger.duckdb"),
        "SURGICAL_EXAMPLE_SCOPE": "acme/rocket#12-14!34+35",
    }
    with running_dagster_dev(dev_home, environment) as running:
        yield running


@pytest.fixture
def dev_ledger(dev_home: Path) -> Path:
    return dev_home / "ledger.duckdb"
