"""Backfills with a real daemon: from the command, and from the launchpad."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import Installation
from surgical_pipeline_tests.acceptance.test_backfill import running
from surgical_pipeline_tests.dagster_dev import DagsterDev, wait_until
from surgical_pipeline_tests.ledger_gate import rows

pytestmark = pytest.mark.dagster_dev


@pytest.fixture
def here(dev: DagsterDev, dev_home: Path, sandbox: RunningSandbox, tmp_path: Path) -> Installation:
    """Commands beside the daemon, from another folder, in its DAGSTER_HOME."""
    made = Installation.make(tmp_path, sandbox)
    del dev
    return Installation(tmp_path, made.environment | {"DAGSTER_HOME": str(dev_home)})


def document(process: "subprocess.Popen[str]") -> Any:
    stdout, stderr = process.communicate(timeout=180)
    assert stdout, stderr
    return json.loads(stdout)


def test_the_command_launches_shows_and_sums_up(here: Installation, dev_ledger: Path, dev_home: Path) -> None:
    chosen = ("backfill", "acme/rocket", "--issues", "51-54", "--mrs", "34", "--chunk", "2", "--json")
    with running(here, *chosen) as process:
        found = document(process)
    assert (process.returncode, found["shown_to_the_end"]) == (0, True)
    progress = found["status"]["progress"]
    assert (progress["done"], progress["entities"], progress["runs_ended"]) == (5, 5, 3)
    ours = [row for row in rows(dev_ledger).values() if row.values["scope"] in found["plan"]["chunks"]]
    assert len(ours) == 3
    assert {(row.values["mode"], row.values["trigger"], row.status) for row in ours} == {
        ("backfill", "backfill", "succeeded")
    }
    with dg.DagsterInstance.from_config(str(dev_home)) as instance:
        materialized = instance.get_materialized_partitions(dg.AssetKey("embeddings"))
    assert set(found["plan"]["chunks"]) <= materialized


def test_ctrl_c_ends_the_showing_and_the_backfill_goes_on_until_it_is_cancelled(
    here: Installation, dev: DagsterDev
) -> None:
    with running(here, "backfill", "acme/rocket", "--issues", "55-60", "--chunk", "2") as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    backfill_id = told.split()[1]
    assert process.returncode == 130
    assert f"The backfill goes on: `surgical-pipeline backfill status {backfill_id}`" in stderr
    assert dev.backfill_status(backfill_id) == "REQUESTED"
    done = here.run("backfill", "cancel", backfill_id, "--json")
    assert (done.returncode, json.loads(done.stdout)["abandoned"]) == (0, False)
    assert dev.backfill_status(backfill_id) == "CANCELED"


def test_the_launchpad_plans_a_backfill_whose_runs_follow(
    dev: DagsterDev, dev_home: Path, here: Installation
) -> None:
    config = {"project": "acme/rocket", "issues": "61-64", "chunk": 2}
    planned = dev.run_job("plan_backfill", {"ops": {"plan_and_launch": {"config": config}}})
    assert dev.wait_for_end(planned) == "SUCCESS"
    with dg.DagsterInstance.from_config(str(dev_home)) as instance:
        run = instance.get_run_by_id(planned)
    assert run is not None
    backfill_id = run.tags["surgical/planned_backfill"]
    wait_until(
        lambda: dev.backfill_status(backfill_id) == "COMPLETED_SUCCESS",
        limit_seconds=180,
        what="the backfill ends",
    )
    status = json.loads(here.run("backfill", "status", backfill_id, "--json").stdout)
    assert (status["progress"]["done"], status["runs"], status["disagreements"]) == (4, {"succeeded": 2}, [])
