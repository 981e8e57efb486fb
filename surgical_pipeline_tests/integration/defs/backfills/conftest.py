"""An installation with a sandbox, its Dagster instance and its ledger, in this process."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline.ledger.protocol import Ledger
from surgical_pipeline_tests.integration.defs.sensors.daemon import SensorDaemon, sensor_daemon
from surgical_pipeline_tests.surroundings import REPOSITORY


@pytest.fixture
def instance(home: Path, ledger: Ledger, prepared_home: Path) -> Iterator[dg.DagsterInstance]:
    """With the repository's settings, by which runs wait in a queue that nobody empties."""
    del ledger
    shutil.copytree(prepared_home, home, dirs_exist_ok=True)
    shutil.copy(REPOSITORY / "dagster.yaml", home)
    with dg.DagsterInstance.get() as opened:
        yield opened


@pytest.fixture
def daemon(instance: dg.DagsterInstance, home: Path) -> Iterator[SensorDaemon]:
    names = ("DAGSTER_HOME", "GITLAB_URL", "GITLAB_TOKEN", "SURGICAL_LEDGER")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    with sensor_daemon(instance, home, environment) as running:
        yield running
