"""The harnesses in a short form; `make soak` runs them at length."""

from pathlib import Path

import pytest

from surgical_pipeline_tests.soak.contention import contend
from surgical_pipeline_tests.soak.installation import installed
from surgical_pipeline_tests.soak.interrupts import interrupt_syncs
from surgical_pipeline_tests.soak.kills import kill_syncs

pytestmark = pytest.mark.processes


def test_killed_syncs_leave_the_ledger_whole_and_the_next_sync_completes(tmp_path: Path) -> None:
    with installed(tmp_path) as installation:
        report = kill_syncs(installation, kills=8, seed=11)
    assert report.kills == 8
    assert report.violations == []


def test_interrupted_syncs_are_cancelled_or_done_on_both_sides(tmp_path: Path) -> None:
    with installed(tmp_path) as installation:
        report = interrupt_syncs(installation, interrupts=10, seed=11)
    assert report.interrupts == 10
    assert report.wrong == []


def test_processes_with_overlapping_scopes_lose_no_update_and_no_lock(tmp_path: Path) -> None:
    with installed(tmp_path) as installation:
        report = contend(installation, processes=6, seed=11, entities=8)
    assert report.statuses.total() == 6
    assert not report.codes
    assert report.lost == []
    assert report.violations == []
    assert all(report.waits_ms), "each process had windows, and its waits are known"
