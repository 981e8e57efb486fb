"""The commands that bring their own GitLab: `demo`, `sandbox serve` and `sandbox exec`."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import OURS, PROGRAM, Done, Installation, called
from surgical_pipeline_tests.hook_catcher import HookCatcher


@pytest.fixture
def installation(tmp_path: Path, running_sandbox: RunningSandbox) -> Installation:
    return Installation.make(tmp_path, running_sandbox)


def test_demo_succeeds_and_its_second_run_renders_and_embeds_nothing(tmp_path: Path) -> None:
    """It needs no GitLab, and touches no ledger but its own."""
    theirs = tmp_path / "theirs.duckdb"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    environment |= {"DAGSTER_HOME": "/no/such/folder", "SURGICAL_LEDGER": str(theirs)}

    def demo(*options: str) -> Done:
        return subprocess.run(
            [PROGRAM, "demo", "--home", "demo", *options],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    first = demo()
    assert first.returncode == 0, first.stderr
    assert "acme/rocket#9999" in first.stdout
    assert "Try next" in first.stdout
    second = demo("--json")
    assert second.returncode == 0, second.stderr
    result = SyncResult.model_validate_json(second.stdout)
    assert (result.counters.documents_regenerated, result.counters.documents_embedded) == (0, 0)
    assert result.counters.documents_unchanged > 5
    assert not theirs.exists()


def test_sandbox_serve_answers_and_ends_on_sigterm_with_exit_code_0() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [PROGRAM, "sandbox", "serve", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline().split()
            assert said == ["export", f"GITLAB_URL=http://127.0.0.1:{port}", "GITLAB_TOKEN=sandbox-token"]
            token = {"PRIVATE-TOKEN": "sandbox-token"}
            answer = once_it_listens(f"http://127.0.0.1:{port}/api/v4/projects/acme%2Frocket", token)
            assert answer.json()["path_with_namespace"] == "acme/rocket"
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def once_it_listens(url: str, headers: dict[str, str]) -> httpx.Response:
    deadline = time.monotonic() + 20
    while True:
        try:
            return httpx.get(url, headers=headers, trust_env=False)
        except httpx.ConnectError:
            assert time.monotonic() < deadline, "it never listened"
            time.sleep(0.05)


def test_sandbox_serve_says_that_its_port_is_taken(running_sandbox: RunningSandbox) -> None:
    done = called("sandbox", "serve", "--port", str(running_sandbox.port))
    assert done.exit_code == 1
    assert f"Error: cannot listen on 127.0.0.1:{running_sandbox.port}" in done.stderr


def test_sandbox_exec_passes_on_environment_and_exit_code(installation: Installation) -> None:
    program = (
        "import os, sys, urllib.request as u\n"
        "ask = u.Request(os.environ['GITLAB_URL'] + '/api/v4/version',"
        " headers={'PRIVATE-TOKEN': os.environ['GITLAB_TOKEN']})\n"
        "print(u.build_opener(u.ProxyHandler({})).open(ask).status, os.environ['MARK'], sys.argv[1:])\n"
        "sys.exit(7)\n"
    )
    done = installation.run("sandbox", "exec", "--", sys.executable, "-c", program, "--flag", MARK="passed on")
    assert (done.returncode, done.stdout) == (7, "200 passed on ['--flag']\n"), done.stderr


def test_sandbox_exec_tells_of_a_signal_as_a_shell_does(installation: Installation) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert installation.run("sandbox", "exec", "--", sys.executable, "-c", program).returncode == 128 + 9


def test_sandbox_exec_says_what_cannot_be_started() -> None:
    done = called("sandbox", "exec", "--", "no-such-program")
    assert done.exit_code == 2
    assert "Error: no-such-program cannot be started" in done.stderr


def test_sandbox_exec_sends_the_hooks_of_its_command_s_edits(installation: Installation) -> None:
    program = (
        "import json, os, urllib.request as u\n"
        "edit = u.Request(os.environ['GITLAB_URL'] + '/sandbox/issues/12',"
        " data=json.dumps({'fields': {'title': 'Told'}}).encode())\n"
        "print(u.build_opener(u.ProxyHandler({})).open(edit).status)\n"
        "import sys; sys.stdin.readline()\n"
    )
    with HookCatcher() as catcher:
        command = [
            PROGRAM,
            "sandbox",
            "exec",
            "--hook",
            catcher.url,
            "--hook-token",
            "t0p",
            "--hook-signing-token",
        ]
        command += ["whsec_bWlzc2lvbg==", "--", sys.executable, "-c", program]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=installation.environment, text=True) as process:
            try:
                [caught] = catcher.wait_for(1, seconds=30)
                process.communicate("done\n", timeout=20)
            finally:
                process.kill()
    assert process.returncode == 0
    assert caught.body["object_attributes"]["title"] == "Told"
    assert caught.headers["x-gitlab-token"] == "t0p"
    assert caught.headers["webhook-signature"].startswith("v1,")


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["exec"]])
def test_a_signing_token_that_holds_no_key_is_refused(command: list[str]) -> None:
    hook = ["--hook", "http://127.0.0.1:9/", "--hook-signing-token", "secret"]
    done = called("sandbox", *command, *hook, *(["true"] if command == ["exec"] else []))
    assert done.exit_code == 2
    assert "Error: --hook-signing-token must be whsec_ and a key in base64" in done.stderr
