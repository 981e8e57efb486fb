"""The limits that `surgical-pipeline sync` takes, as the run that it starts has them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg

from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.sandbox.server import RunningSandbox

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")


def sync(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "sync", "acme/rocket#1-5", "--dependents", "state_events", "--json", *arguments]
    return subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120, check=False)


def test_every_limit_has_an_option_that_reaches_the_run(home: Path, sandbox: RunningSandbox) -> None:
    sandbox.control.set_latency(20)
    limits = {name: 2 if name == "max_requests_in_flight" else 77.0 for name in Budgets.model_fields}
    options = [text for name, value in limits.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    done = sync(home, *options)
    assert done.returncode in (0, 3), done.stderr
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(json.loads(done.stdout)["run_id"])
    assert run is not None
    run_config: Any = run.run_config
    config = run_config["ops"]["surgical_sync"]["config"]
    assert {name: config[name] for name in limits} == limits
    assert sandbox.control.requests().max_in_flight == 2


def test_a_limit_that_makes_no_sense_is_wrong_usage(home: Path, sandbox: RunningSandbox) -> None:
    for arguments in (("--max-requests-in-flight", "65"), ("--preflight-budget-seconds", "0")):
        assert sync(home, *arguments).returncode == 2
    assert sandbox.control.requests().count == 0
