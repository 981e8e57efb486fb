"""The image, as far as it can be tried without Docker: what it copies makes the package, and its commands answer.

What its commands are given here is what the manifests give them, and the probes that are asked are theirs.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.integration.deploy import chart
from surgical_pipeline_tests.postgres_server import PASSWORD, PostgresServer
from surgical_pipeline_tests.signals import default_signals
from surgical_pipeline_tests.surroundings import REPOSITORY

pytestmark = pytest.mark.processes

LIMIT_SECONDS = 60
PROGRAMS = Path(sys.executable).parent


def instructions() -> list[tuple[str, str]]:
    text = (chart.FOLDER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def arguments_of(instruction: str) -> list[str]:
    return [rest for name, rest in instructions() if name == instruction]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, made of what the image copies and of nothing else; its dependencies are this environment's."""
    build, target = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("installed")
    for rest in arguments_of("COPY"):
        *sources, destination = rest.split()
        for source in sources:
            copied, into = REPOSITORY / source, build / destination
            if copied.is_dir():
                shutil.copytree(copied, into, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(copied, into)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), "."]
    done = subprocess.run(command, cwd=build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def test_what_is_installed_has_everything_that_the_repository_has(installed: Path) -> None:
    def files(folder: Path) -> set[Path]:
        return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}

    assert files(installed / "surgical_pipeline") == files(REPOSITORY / "surgical_pipeline")


def test_pip_is_asked_for_an_extra_that_is_pinned_whole() -> None:
    (install,) = [rest for rest in arguments_of("RUN") if rest.startswith("pip install")]
    asked = re.fullmatch(r"pip install --no-cache-dir -c constraints\.txt '\.\[(\w+)\]'", install)
    assert asked is not None
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    extra = re.search(rf"^{asked[1]} = \[(.+?)^\]", project, flags=re.MULTILINE | re.DOTALL)
    assert extra is not None
    wanted = re.findall(r'^  "([\w-]+)', extra[1], flags=re.MULTILINE)
    pinned = set(
        re.findall(r"^([\w-]+)==", (REPOSITORY / "constraints.txt").read_text("utf-8"), flags=re.MULTILINE)
    )
    assert wanted
    assert set(wanted) <= pinned


def test_nobody_is_root_and_the_folders_of_dagster_belong_to_the_user() -> None:
    (user,) = arguments_of("USER")
    assert user == "1000"
    (made,) = [rest for rest in arguments_of("RUN") if "useradd" in rest]
    assert f"--uid {user}" in made
    owned = made.partition("install -d -o dagster ")[2].split()
    (home,) = arguments_of("ENV")
    assert {home.partition("=")[2], chart.values()["global"]["dagsterHome"]} == set(owned)


@contextmanager
def running(command: list[str], *, home: Path, installed: Path, **environment: str) -> Iterator[None]:
    """A command of the image, in its own home, with these variables and no others."""
    home.mkdir()
    own = {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "PYTHONPATH": str(installed), "HOME": str(home)} | environment
    with (home.parent / f"{home.name}.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env=own,
            cwd=home,
            stdout=log,
            stderr=log,
            preexec_fn=default_signals,  # noqa: PLW1509  it calls nothing that takes a lock
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()


def test_the_code_server_answers(installed: Path, tmp_path: Path) -> None:
    (text,) = arguments_of("CMD")
    command: list[str] = json.loads(text)
    in_chart = chart.code_location()
    assert command[-2:] == in_chart["codeServerArgs"]
    port = command.index("-p") + 1
    assert {command[port], *arguments_of("EXPOSE")} == {str(in_chart["port"])}
    command[port] = str(free_port())
    command[command.index("-h") + 1] = "127.0.0.1"
    asking = [str(PROGRAMS / "dagster"), "api", "grpc-health-check", "-p", command[port]]
    with running(command, home=tmp_path / "home", installed=installed, DAGSTER_HOME=str(tmp_path / "home")):
        wait_until(
            lambda: subprocess.run(asking, capture_output=True, check=False).returncode == 0,
            limit_seconds=LIMIT_SECONDS,
            what="the code server answers",
        )


@pytest.mark.parametrize("name", ["receiver.yaml", "metrics.yaml"])
def test_a_manifests_command_answers_its_probes(
    name: str, installed: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    workload = next(iter(yaml.safe_load_all((chart.FOLDER / name).read_text(encoding="utf-8"))))
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    command, port = list(container["args"]), free_port()
    shown = command.index("--port") + 1
    assert command[shown] == str(container["ports"][0]["containerPort"])
    command[shown] = str(port)
    command[command.index("--host") + 1] = "127.0.0.1"
    paths = {container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
    with postgres.temporary() as database:
        with postgres.ledger(database).write("make"):
            pass
        environment = variables_of(container, home=tmp_path / "home") | {
            "SURGICAL_LEDGER": postgres.url(database, password=None),
            "PGPASSWORD": PASSWORD,
        }
        with running(command, home=tmp_path / "home", installed=installed, **environment):
            for path in paths:
                wait_until(
                    lambda path=path: answers(port, path),  # type: ignore[misc]
                    limit_seconds=LIMIT_SECONDS,
                    what=f"{path} is answered",
                )
            metrics = f"http://127.0.0.1:{port}/metrics"
            token = {"Authorization": f"Bearer {environment['SURGICAL_METRICS_TOKEN']}"}
            assert httpx.get(metrics).status_code != 200
            assert "surgical_ledger_up 1" in httpx.get(metrics, headers=token, timeout=30).text


def variables_of(container: dict[str, Any], *, home: Path) -> dict[str, str]:
    """Its own, in a folder of the test, and one value for each key of its secrets."""
    own = {one["name"]: str(home / Path(one["value"]).name) for one in container["env"]}
    examples = yaml.safe_load_all((chart.FOLDER / "secrets.example.yaml").read_text(encoding="utf-8"))
    keys = {one["metadata"]["name"]: one["stringData"] for one in examples}
    secrets = {
        key: f"whsec_{'c2VjcmV0' * 4}" for one in container["envFrom"] for key in keys[one["secretRef"]["name"]]
    }
    return secrets | own | {"DAGSTER_HOME": str(home)}


def answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
