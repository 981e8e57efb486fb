import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline_tests.integration.defs.sensors.webhooks import Inbox


@pytest.fixture
def inbox(tmp_path: Path, prepared_home: Path) -> Iterator[Inbox]:
    shutil.copytree(prepared_home, tmp_path, dirs_exist_ok=True)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield Inbox(instance, tmp_path)
