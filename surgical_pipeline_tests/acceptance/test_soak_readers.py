"""Readers that stay open, in a short form; `python -m surgical_pipeline_tests.soak readers` is the long."""

from pathlib import Path

import pytest

from surgical_pipeline_tests.soak.installation import installed
from surgical_pipeline_tests.soak.readers import read_beside

pytestmark = pytest.mark.processes


def test_a_shell_and_a_notebook_that_stay_open_stop_no_sync_and_read_whole_versions(tmp_path: Path) -> None:
    with installed(tmp_path) as installation:
        report = read_beside(installation, syncs=4, publishes=3, kills=2)
    assert report.violations == []
    assert (len(report.waits_ms), len(report.windows_ms), report.kills) == (5, 3, 2)
    assert max(report.waits_ms) < 2_000, "a sync waits at most while a publish copies the file"
    assert report.shell.versions == [1]
    assert len(report.notebook.versions) > 1
