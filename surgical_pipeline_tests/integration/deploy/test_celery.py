"""The files of deploy/celery, read by the programs that they are for."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml
from compose_spec import PyOptions
from dagster._serdes import serialize_value
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG

from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.celery_launcher import HeartbeatCeleryRunLauncher
from surgical_pipeline.defs.celery_worker import SETTINGS, app
from surgical_pipeline_tests.postgres_server import PASSWORD, USER, PostgresServer
from surgical_pipeline_tests.surroundings import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "celery"
UNITS = sorted((FOLDER / "systemd").glob("*.service"))
INSTALLED = "/opt/surgical-pipeline"
PROGRAMS = Path(sys.executable).parent
BROKER = "redis://:another-secret@127.0.0.1:1/0"


@pytest.fixture
def instance(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Dagster's, by these settings."""
    shutil.copy(FOLDER / "dagster.yaml", tmp_path)
    with postgres.temporary() as database:
        own = {
            "DAGSTER_POSTGRES_HOST": postgres.host,
            "DAGSTER_POSTGRES_PORT": str(postgres.port),
            "DAGSTER_POSTGRES_USER": USER,
            "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
            "DAGSTER_POSTGRES_DB": database,
            "CELERY_BROKER_URL": BROKER,
            "CELERY_RESULT_BACKEND": BROKER,
        }
        for name, value in own.items():
            monkeypatch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(tmp_path)) as made:
            yield made


def test_dagster_loads_the_settings_and_stores_events_in_postgresql(instance: dg.DagsterInstance) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, HeartbeatCeleryRunLauncher)
    assert not launcher.supports_resume_run
    for name, value in SETTINGS.items():
        assert launcher.celery.conf[name] == value == app.conf[name], f"{name} differs on both sides of the broker"
    instance.report_runless_asset_event(dg.AssetMaterialization("documents"))
    assert instance.get_latest_materialization_event(dg.AssetKey("documents")) is not None
    assert instance.run_monitoring_max_runtime_seconds == 0
    assert instance.run_monitoring_max_resume_run_attempts == 0


def test_what_a_task_says_of_the_instance_holds_no_password(instance: dg.DagsterInstance) -> None:
    told = serialize_value(instance.get_ref())
    assert "CELERY_BROKER_URL" in told
    assert PASSWORD not in told
    assert "another-secret" not in told


def test_what_has_nothing_to_do_with_machines_is_as_in_the_settings_of_one() -> None:
    one, many = (yaml.safe_load((folder / "dagster.yaml").read_text()) for folder in (REPOSITORY, FOLDER))
    for name in one.keys() - {"run_monitoring"}:
        assert many[name] == one[name], name


def test_the_environments_example_names_what_the_settings_ask_for_and_no_secret() -> None:
    lines = [line for line in (FOLDER / "environment.example").read_text().splitlines() if "=" in line]
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    asked = set(re.findall(r"env: (\w+)", (FOLDER / "dagster.yaml").read_text()))
    asked |= set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text()))
    assert asked <= given.keys()
    assert {name for name, value in given.items() if not value} >= {name for name in given if "PASSWORD" in name}
    assert given["GITLAB_TOKEN"] == given["CELERY_BROKER_URL"] == ""


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text()
    sections = configparser.ConfigParser(strict=True, interpolation=None)
    sections.read_string(text)
    assert sections["Service"]["environmentfile"]
    if shutil.which("systemd-analyze"):
        copy = tmp_path / unit.name
        copy.write_text(text.replace(f"{INSTALLED}/bin", str(PROGRAMS)))
        done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def commands_of_units() -> list[list[str]]:
    found = [re.findall(r"^ExecStart=(.+)$", unit.read_text(), re.MULTILINE) for unit in UNITS]
    return [shlex.split(line) for lines in found for line in lines]


def commands_of_compose() -> list[list[str]]:
    options = PyOptions(apply_merge=True)
    told = re.sub(r"\$\{\w+:\?[^}]*\}", "given", (FOLDER / "compose.yaml").read_text())  # as Compose fills them in
    compose = options.from_yaml(told)
    compose.validate()
    services = json.loads(compose.to_json())["services"]
    return [one["command"] for name, one in services.items() if name not in ("postgres", "redis")]


def test_the_compose_file_starts_what_the_units_start() -> None:
    in_units = [[Path(words[0]).name, *words[1:]] for words in commands_of_units()]
    everywhere = "0.0.0.0"  # noqa: S104  inside a container
    in_containers = [[word.replace(everywhere, "127.0.0.1") for word in words] for words in commands_of_compose()]
    assert sorted(in_containers) == sorted(in_units)


@pytest.mark.parametrize("job", ["prune", "published", "report_job"])
def test_jobs_that_make_or_delete_files_go_to_the_control_machines_worker(job: str) -> None:
    unit = (FOLDER / "systemd" / "surgical-control-worker.service").read_text()
    assert f"--queues {defs.resolve_job_def(job).run_tags[DAGSTER_CELERY_QUEUE_TAG]} " in unit


@pytest.mark.parametrize("words", commands_of_units(), ids=[unit.stem for unit in UNITS])
def test_every_command_is_there_and_knows_its_options(words: list[str]) -> None:
    first = next(place for place, word in enumerate(words) if word.startswith("-") and word != "-A")
    asked = [str(PROGRAMS / Path(words[0]).name), *words[1:first], "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    for option in [word for word in words[first:] if word.startswith("-")]:
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", told), option
