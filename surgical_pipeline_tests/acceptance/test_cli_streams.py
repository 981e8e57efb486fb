"""Output that cannot be written: a full disk, a pipe that nobody reads, a stream that was never open."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from uuid import uuid4

import pytest
import typer

from surgical_pipeline.cli.main import app
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import PROGRAM, Installation
from surgical_pipeline_tests.ledger_dump import query

FULL = Path("/dev/full")
COMMANDS = {
    "sync": ["sync", "acme/rocket#13"],
    "retry": ["retry", "RUN_ID"],
    "runs list": ["runs", "list"],
    "runs show": ["runs", "show", "RUN_ID", "--json"],
    "runs reconcile": ["runs", "reconcile", "--json"],
    "search": ["search", "valve"],
    "embed-backlog": ["embed-backlog"],
    "prune": ["prune", "--dry-run"],
    "report": ["report", "--html", "-"],
    "export": ["export", "issues", "--to", "-", "--format", "json"],
    "publish": ["publish", "--help"],
    "backfill start": ["backfill", "start", "--help"],
    "backfill list": ["backfill", "list", "--json"],
    "backfill status": ["backfill", "status", "--help"],
    "backfill cancel": ["backfill", "cancel", "--help"],
    "backfill resume": ["backfill", "resume", "--help"],
    "backfill prune": ["backfill", "prune", "--help"],
    "doctor": ["doctor"],
    "events list": ["events", "list", "--json"],
    "events retry": ["events", "retry", "--all"],
    "events drop": ["events", "drop", "--all"],
    "webhook serve": ["webhook", "serve", "--help"],
    "metrics serve": ["metrics", "serve", "--help"],
    "ledger check": ["ledger", "check", "--json"],
    "ledger backup": ["ledger", "backup", "COPY"],
    "ledger copy": ["ledger", "copy", "LEDGER", "COPY"],
    "ledger compact": ["ledger", "compact"],
    "ledger rebase": ["ledger", "rebase", "--gitlab", "GITLAB_URL"],
    "demo": ["demo", "--json"],
    "sandbox exec": ["sandbox", "exec", "--help"],
    "sandbox serve": ["sandbox", "serve", "--help"],
}
"""One way to have each of them print on stdout."""

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, running_sandbox: RunningSandbox) -> Installation:
    running_sandbox.control.reset()
    made = Installation.make(tmp_path_factory.mktemp("streams"), running_sandbox)
    assert made.run("sync", "acme/rocket#12+9999", "--json").returncode == 3
    return made


def started(installation: Installation, command: list[str], *, stdout: IO[bytes] | int) -> subprocess.Popen[str]:
    ((run_id,),) = query(installation.ledger, "SELECT run_id FROM sync_runs ORDER BY started_at LIMIT 1")
    ((gitlab_url,),) = query(installation.ledger, "SELECT gitlab_url FROM ledger_gitlab")
    values = {
        "RUN_ID": str(run_id),
        "LEDGER": str(installation.ledger),
        "COPY": f"{uuid4()}.duckdb",
        "GITLAB_URL": str(gitlab_url),
    }
    return subprocess.Popen(
        [PROGRAM, *(values.get(word, word) for word in command)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=installation.environment,
        cwd=installation.home,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, list[str]]:
    """Exit code and the lines of stderr that tell of trouble."""
    try:
        _, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, [
        line for line in stderr.splitlines() if line and "The warning is planned" not in line
    ]


@pytest.fixture
def unread_pipe() -> Iterator[int]:
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def names(command: object, words: tuple[str, ...] = ()) -> Iterator[str]:
    children: dict[str, object] = getattr(command, "commands", {})
    if not children:
        yield " ".join(words)
    for name, child in children.items():
        yield from names(child, (*words, name))


def test_every_command_is_looked_at_here() -> None:
    assert set(COMMANDS) == set(names(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_lost_output_is_exit_code_1_and_told_in_one_line_unless_nobody_reads(
    name: str, installation: Installation, unread_pipe: int
) -> None:
    with FULL.open("wb") as full:
        processes = [started(installation, COMMANDS[name], stdout=stdout) for stdout in (full, unread_pipe)]
        to_full_disk, unread = map(ended, processes)
    assert to_full_disk == (1, ["Error: the output could not be written: No space left on device"])
    assert unread == (1, [])


def test_what_ran_stands_in_the_ledger_though_its_output_is_lost(installation: Installation) -> None:
    count = "SELECT count(*) FROM sync_runs WHERE scope = 'acme/rocket#15' AND status = 'succeeded'"
    with FULL.open("wb") as full:
        assert ended(started(installation, ["sync", "acme/rocket#15", "--json"], stdout=full))[0] == 1
    assert query(installation.ledger, count) == [(1,)]


def shell(installation: Installation, line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f"{PROGRAM} {line}"],
        env=installation.environment,
        cwd=installation.home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", ["sync acme/rocket#12 --json", "runs list", "--help", "--version"])
def test_a_stream_that_was_never_open_is_told_and_no_file_takes_its_place(
    command: str, installation: Installation
) -> None:
    done = shell(installation, f"{command} >&-")
    assert (done.returncode, done.stderr) == (1, "Error: the output could not be written: Bad file descriptor\n")
    assert installation.run("ledger", "check").returncode == 0


@pytest.mark.parametrize("nowhere", ["2>/dev/full", "2>&-"])
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("runs list", 0),
        ("search nothing-like-it --project acme/other", 0),
        ("runs show no-such-run", 2),
        ("no-such-command", 2),
        ("sync acme/rocket#12 --verbose --json", 0),
    ],
)
def test_remarks_that_nobody_can_take_do_not_change_how_a_command_ends(
    nowhere: str, command: str, code: int, installation: Installation
) -> None:
    done = shell(installation, f"{command} {nowhere}")
    assert (done.returncode, done.stderr) == (code, "")


def test_what_an_encoding_does_not_have_is_an_escape_and_json_stays_utf_8(installation: Installation) -> None:
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    text = installation.run("search", "\u2026", **environment)
    assert text.returncode == 0, text.stderr
    assert text.stdout.isascii()
    document = installation.run("search", "valve", "--json", **environment)
    assert not document.stdout.isascii()
