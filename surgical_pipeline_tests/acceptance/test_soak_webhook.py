"""The receiver's loss harness in a short form; `python -m surgical_pipeline_tests.soak webhook` is the long."""

from pathlib import Path

import pytest

from surgical_pipeline_tests.soak.webhook import kill_receivers

pytestmark = pytest.mark.processes


def test_what_was_answered_well_is_in_the_inbox_once_however_often_the_receiver_is_killed(
    tmp_path: Path,
) -> None:
    report = kill_receivers(tmp_path, kills=4, seed=11, held_seconds=4)
    assert report.kills == 4
    assert report.answers["200"] > 100
    assert set(report.answers) <= {"200", "ConnectError", "ReadError", "RemoteProtocolError", "WriteError"}
    assert (report.lost, report.twice, report.strangers, report.gaps) == ([], [], [], 0)
    assert report.percentile_ms(99) < 1_000
