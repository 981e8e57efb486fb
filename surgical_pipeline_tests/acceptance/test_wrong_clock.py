"""The program on a machine whose clock is a day off, and then on one whose clock is right."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import PROGRAM, Done, Installation
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.surroundings import skip_or_fail


@pytest.fixture
def installation(tmp_path: Path, sandbox: RunningSandbox) -> Installation:
    if shutil.which("faketime") is None:
        skip_or_fail("a wrong clock needs the program faketime")
    return Installation.make(tmp_path, sandbox)


def on_another_day(installation: Installation, shift: str, *arguments: str) -> Done:
    return subprocess.run(
        ["faketime", "-f", shift, PROGRAM, *arguments],
        env=installation.environment,
        cwd=installation.home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def outcome(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["entity_outcomes"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("shift", ["+1d", "-1d"])
def test_a_note_deleted_after_the_sync_of_a_machine_with_a_wrong_clock_is_gone_after_the_next_sync(
    installation: Installation, sandbox: RunningSandbox, shift: str
) -> None:
    remark = sandbox.control.add_note(12, "An unforgettable remark.").note["id"]
    counted = f"SELECT count(*) FROM notes WHERE note_id = {remark}"
    first = outcome(on_another_day(installation, shift, "sync", "acme/rocket#12", "--json"))
    assert (first["ingested"], query(installation.ledger, counted)) == (True, [(1,)])
    sandbox.control.delete_note(remark)
    second = outcome(installation.run("sync", "acme/rocket#12", "--json"))
    assert (second["ingested"], query(installation.ledger, counted)) == (True, [(0,)])
    assert (second["warnings"], second["dependents_stale_skipped"]) == ([], [])


def test_doctor_tells_how_far_the_machines_clock_is_off(installation: Installation) -> None:
    wrong = on_another_day(installation, "+1d", "doctor")
    assert wrong.returncode == 0
    assert "warn\tclock\tthis machine's is 1 day, 0:00:0" in wrong.stdout
    assert "ahead of GitLab's\tSet it right, for example with NTP" in wrong.stdout
    assert "ok\tclock\twithin 1 s of GitLab's" in installation.run("doctor").stdout


def test_doctor_tells_of_a_gitlab_that_does_not_tell_its_time(
    installation: Installation, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("*", headers={"date": "yesterday"})
    found = installation.run("doctor").stdout
    assert "GitLab's answers carry no usable Date: fetches are told by this machine's clock" in found


def test_a_ledger_filled_while_gitlabs_clock_was_wrong_is_mended_by_the_next_sync_with_a_warning(
    installation: Installation, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("*", headers={"date": "Tue, 01 Jan 2036 00:00:00 GMT"})
    installation.run("sync", "acme/rocket#12")
    sandbox.control.clear_faults()
    sandbox.control.update_issue(12, title="New", bump_updated_at=False)
    done = installation.run("sync", "acme/rocket#12")
    assert done.returncode == 3
    assert "succeeded_with_warnings" in done.stdout
    assert "warning the ledger had it as fetched at 2036-01-01 00:00:0" in done.stdout
    assert query(installation.ledger, "SELECT title FROM issues") == [("New",)]
    assert installation.run("sync", "acme/rocket#12").returncode == 0
