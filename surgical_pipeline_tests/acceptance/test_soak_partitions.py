"""Thousands of partitions on one ledger in a short form; `make soak` runs every one of them."""

from pathlib import Path

import pytest

from surgical_pipeline_tests.soak.partitions import run_partitions

pytestmark = pytest.mark.processes

PARTITIONS = 3500
CHOSEN = 24


def test_several_runs_at_once_of_thousands_of_partitions_fail_in_nothing(tmp_path: Path) -> None:
    report = run_partitions(tmp_path, partitions=PARTITIONS, processes=4, chosen=CHOSEN)
    assert report.registered == PARTITIONS
    assert report.progress is not None
    assert (report.progress.entities, report.progress.done, report.progress.waiting) == (
        PARTITIONS,
        CHOSEN,
        PARTITIONS - CHOSEN,
    )
    assert report.runs == {"succeeded": CHOSEN}
    assert report.codes == {}
    assert report.violations == []
