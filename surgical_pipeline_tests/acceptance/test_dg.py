"""`dg`, Dagster's command line for projects, in this folder: section [tool.dg] of pyproject.toml."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline_tests.surroundings import REPOSITORY


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A DAGSTER_HOME with our settings, which switch the telemetry of `dg` off."""
    (tmp_path / "dagster.yaml").write_bytes((REPOSITORY / "dagster.yaml").read_bytes())
    return tmp_path


def dg_says(*arguments: str, home: Path) -> str:
    """What `dg` prints, called from ``home``: in the repository it would take DAGSTER_HOME from .env."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dg")), *arguments, "--target-path", str(REPOSITORY)],
        cwd=home,
        env={**os.environ, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "virtual environment" not in done.stderr
    return done.stdout


def test_dg_finds_nothing_wrong_with_the_definitions(home: Path) -> None:
    assert "All definitions loaded successfully" in dg_says("check", "defs", home=home)
    assert "All TOML configuration files are valid" in dg_says("check", "toml", home=home)


def test_dg_lists_all_that_the_definitions_hold(home: Path) -> None:
    listed = json.loads(dg_says("list", "defs", "--json", home=home))
    repository = defs.get_repository_def()
    assert {asset["asset_key"] for asset in listed["assets"]} == {
        key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()
    }
    assert {job["name"] for job in listed["jobs"]} == {
        job.name for job in repository.get_all_jobs() if not job.name.startswith("__")
    }
    assert {sensor["name"] for sensor in listed["sensors"]} == {
        "mirror",
        "gitlab_webhooks",
        "gitlab_changes",
        "publish",
    }
    assert {schedule["name"] for schedule in listed["schedules"]} == {"sweep", "prune", "report"}


def test_dg_dev_names_the_code_location_as_workspace_yaml_does() -> None:
    """Dagster keeps sensors, and whether they are on, by that name."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dg"]["project"]
    module = project["code_location_target_module"]
    assert project["code_location_name"] == module
    assert f"python_module: {module}\n" in (REPOSITORY / "workspace.yaml").read_text(encoding="utf-8")
