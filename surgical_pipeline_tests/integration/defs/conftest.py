from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from surgical_pipeline_tests.integration.defs.two_sides import TwoSides


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[TwoSides]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield TwoSides(instance, tmp_path)
