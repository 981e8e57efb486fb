from collections.abc import Iterator
from pathlib import Path

import pytest

from surgical_pipeline_tests.integration.webhook.receiver import RunningReceiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[RunningReceiver]:
    with RunningReceiver(tmp_path) as running:
        yield running
