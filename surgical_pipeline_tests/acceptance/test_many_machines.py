"""Runs on three machines that share a ledger in PostgreSQL, while machines, network and broker fail."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from surgical_pipeline_tests.many_machines.hosts import alone, refusal
from surgical_pipeline_tests.surroundings import REPOSITORY, skip_or_fail

pytestmark = pytest.mark.processes

LIMIT_SECONDS = 900
PROGRAMS = {"ip": "iproute2", "redis-server": "redis-server", "faketime": "faketime"}
LOST, FINE = ["failed", "WORKER_LOST", "FAILURE"], ["succeeded", None, "SUCCESS"]


def test_a_backfill_over_two_machines_is_whole_although_one_dies_and_the_other_is_cut_off(tmp_path: Path) -> None:
    """Their clocks are two days apart, and the broker is restarted, too."""
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        skip_or_fail(f"apt-get install {' '.join(missing)}")
    refused = refusal()
    if refused:
        # Also with CI=true: a right that whoever runs the container withholds, and nothing that can be installed.
        pytest.skip(f"this machine lets nobody make namespaces, as some containers do: {refused}")
    done = subprocess.run(
        alone("surgical_pipeline_tests.many_machines", str(tmp_path)),
        cwd=REPOSITORY,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert (report["violations"], done.returncode) == ([], 0)
    assert sorted(report["hosts"]) == ["east", "west"]
    assert report["lost"]
    assert all(ending == LOST for ending in report["lost"])
    assert report["cut_off"]
    assert all(ending in (FINE, LOST) for ending in report["cut_off"])
    assert set(report["outcomes"].values()) == {1}
    assert len(report["outcomes"]) == 500
