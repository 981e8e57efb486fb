"""`sync` over pasted addresses and over lists, from a file and from a pipe."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.sandbox.server import RunningSandbox

PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")
LONGEST_ARGUMENT = 128 * 1024
"""Of Linux, for one; see execve(2)."""


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the repository, whose .env would set DAGSTER_HOME."""
    monkeypatch.chdir(home)


def synced(*arguments: str, stdin: bytes = b"") -> SyncResult:
    command = [PROGRAM, "sync", *arguments, "--dependents", "", "--json"]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return SyncResult.model_validate_json(done.stdout)


def refused(*arguments: str, stdin: bytes | None = None) -> str:
    done = CliRunner().invoke(app, ["sync", *arguments], input=stdin)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    return done.stderr


def test_addresses_references_a_file_and_a_pipe_make_one_scope(sandbox: RunningSandbox, home: Path) -> None:
    web = f"{sandbox.url}/acme/rocket/-"
    listed = f"\ufeff# Monday\r\n{web}/work_items/13?x=1#note_5 # the console\r\nacme/rocket#12+14\r\n"
    (home / "list.txt").write_bytes(listed.encode())
    result = synced(
        f"{web}/issues/12#note_1",
        "@list.txt",
        "-",
        "acme/rocket#12",
        stdin=f"{web}/merge_requests/34/diffs".encode(),
    )
    assert (result.scope, result.completion_status) == ("acme/rocket#12-14!34", "succeeded")


def test_a_list_may_be_longer_than_a_shell_takes(home: Path) -> None:
    lines = "# a long week, told at length\n" * (LONGEST_ARGUMENT // 20) + "acme/rocket#12 " * (
        LONGEST_ARGUMENT // 10
    )
    (home / "list.txt").write_text(lines)
    assert len(lines) > 2 * LONGEST_ARGUMENT
    assert synced("@list.txt").scope == "acme/rocket#12"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "list.txt names no issue or merge request"),
        (b"acme/rocket#1\n\n# x\nrocket#2\n", "list.txt, line 4: a project is group/project"),
        (b"acme/rocket#1\nacme/other#1", "list.txt, line 2: one run serves one project"),
        (b"acme/rocket#1\n\xff\xfea", "list.txt, line 2: this is no UTF-8 text"),
        (
            b"https://elsewhere.test/acme/rocket/-/issues/1",
            "list.txt, line 1: https://elsewhere.test/acme/rocket/-",
        ),
    ],
)
def test_a_list_that_cannot_be_meant_is_told_with_its_line_and_nothing_runs(
    content: bytes, sentence: str, sandbox: RunningSandbox, home: Path
) -> None:
    (home / "list.txt").write_bytes(content)
    assert refused("@list.txt").startswith(f"Error: {sentence}")
    assert refused("-", stdin=content).startswith(f"Error: {sentence.replace('list.txt', 'stdin')}")
    assert sandbox.control.requests().count == 0


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        ("@no-such-list", "the list 'no-such-list' cannot be read: No such file or directory"),
        ("@.", "the list '.' cannot be read: Is a directory"),
        ("@", "the list '' cannot be read: No such file or directory"),
        ("@a\0b", "the list 'a\\x00b' cannot be read: embedded null byte"),
        ("@/dev/zero", "/dev/zero is longer than 64 MB: that is no list of entities"),
    ],
)
def test_a_list_that_cannot_be_read_is_told(argument: str, sentence: str) -> None:
    assert refused(argument) == f"Error: {sentence}\n"


def test_an_address_of_another_gitlab_is_refused_with_the_names_of_both(sandbox: RunningSandbox) -> None:
    told = refused("https://elsewhere.test/acme/rocket/-/issues/12?private_token=secret", "acme/rocket#13")
    assert "https://elsewhere.test/acme/rocket/-/issues/12 does not lie in" in told
    assert sandbox.url in told
    assert "secret" not in told


def test_an_address_needs_gitlab_url_and_a_reference_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_URL", "")
    assert "GITLAB_URL is not set" in refused("https://gitlab.test/acme/rocket/-/issues/12")
    assert "runs backwards" in refused("acme/rocket#9-3")


def test_a_closed_stdin_is_an_empty_list() -> None:
    command = ["sh", "-c", f"{PROGRAM} sync - <&-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, "Error: stdin names no issue or merge request\n")
