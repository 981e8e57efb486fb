"""What a person types or exports wrongly: exit code 2, one clear line on stderr, and nothing has run."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import typer
from typer.testing import CliRunner

from surgical_pipeline.cli.main import app
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import queue_run
from surgical_pipeline.sandbox.server import RunningSandbox

GOOD = "acme/rocket#12"
PROGRAM = str(Path(sys.executable).parent / "surgical-pipeline")


@pytest.fixture(autouse=True)
def elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the repository, whose .env would set DAGSTER_HOME."""
    monkeypatch.chdir(home)


@pytest.fixture
def made(ledger: DuckDBLedger) -> DuckDBLedger:
    """A ledger that exists, with its schema and nothing else."""
    with ledger.write("make it"):
        pass
    return ledger


def called(*arguments: str) -> "typer.testing.Result":
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def assert_clear(*, code: int, stdout: str, stderr: str, sentence: str, exit_code: int = 2) -> None:
    """One line, and it is of use."""
    assert code == exit_code, stderr
    assert stdout == ""
    assert stderr.count("\n") == 1
    assert stderr.startswith("Error: ")
    assert sentence in stderr


def assert_nothing_ran(sandbox: RunningSandbox, ledger: DuckDBLedger) -> None:
    assert sandbox.control.requests().count == 0
    assert not (ledger.path.parent / "history").exists()  # Dagster's store of runs
    if ledger.exists:
        with duckdb.connect(str(ledger.path), read_only=True) as connection:
            assert connection.execute("SELECT count(*) FROM sync_runs").fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("scopes", "sentence"),
    [
        pytest.param([""], "a project is group/project", id="nothing"),
        pytest.param(["acme/rocket"], "the scope is empty: name an issue as #12", id="no entity"),
        pytest.param(["rocket#12"], "a project is group/project", id="no group"),
        pytest.param(["acme/rocket#0"], "an IID lies between 1 and 2147483647", id="zero"),
        pytest.param(["acme/rocket#-3"], "an IID is a positive whole number, found '-'", id="negative"),
        pytest.param(["acme/rocket#twelve"], "an IID is a positive whole number, found 't'", id="a word"),
        pytest.param(["acme/rocket#1.5"], "only #, !, +, - and IIDs may follow the project", id="a fraction"),
        pytest.param(["acme/rocket#2147483648"], "an IID lies between 1 and 2147483647", id="too large"),
        pytest.param(["acme/rocket#9-3"], "the range 9-3 runs backwards", id="backwards"),
        pytest.param(["acme/rocket#1-999999"], "names more than 100,000 entities", id="far too many"),
        pytest.param(["acme/rocket#1acme/launchpad#2"], "one scope text names one project", id="two in one text"),
        pytest.param(["acme/rocket#1", "acme/launchpad#2"], "one run serves one project", id="two in two texts"),
        pytest.param([GOOD, "acme/rocket"], "the scope is empty", id="one good, one empty"),
        pytest.param([GOOD, "--dependents", "discussions,gossip"], "unknown dependents gossip", id="dependents"),
    ],
)
def test_a_scope_that_cannot_be_meant(
    scopes: list[str], sentence: str, sandbox: RunningSandbox, made: DuckDBLedger
) -> None:
    done = called("sync", *scopes, "--json")
    assert_clear(code=done.exit_code, stdout=done.stdout, stderr=done.stderr, sentence=sentence)
    assert_nothing_ran(sandbox, made)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"GITLAB_URL": ""}, "GITLAB_URL is not set: export"),
        ({"GITLAB_URL": "ftp://gitlab.test"}, "must begin with http:// or https://"),
        ({"GITLAB_URL": "gitlab.test"}, "must begin with http:// or https://"),
        ({"GITLAB_URL": "http://"}, "the GitLab URL has no host"),
        ({"GITLAB_TOKEN": ""}, "GITLAB_TOKEN is not set: create a token with the scope read_api"),
        ({"DAGSTER_HOME": ""}, "DAGSTER_HOME is not set: run from the project folder"),
        ({"DAGSTER_HOME": "relative/folder"}, "DAGSTER_HOME must be an absolute path"),
        ({"DAGSTER_HOME": "/no/such/folder"}, "DAGSTER_HOME /no/such/folder does not exist"),
        (
            {"SURGICAL_LEDGER": "/no/such/folder/ledger.duckdb"},
            "the ledger's folder /no/such/folder does not exist",
        ),
        ({"SURGICAL_LEDGER": "dagster.yaml/ledger.duckdb"}, "does not exist: create it, or set SURGICAL_LEDGER"),
        ({"SURGICAL_LEDGER": "."}, "is a folder: set SURGICAL_LEDGER to a file"),
        ({"SURGICAL_EMBEDDER": "gpt"}, "SURGICAL_EMBEDDER is 'gpt': it may be wordllama, http, minilm"),
        ({"SURGICAL_EMBEDDER": "http"}, "needs SURGICAL_EMBEDDER_URL and SURGICAL_EMBEDDER_MODEL"),
        (
            {"SURGICAL_EMBEDDER": "http", "SURGICAL_EMBEDDER_URL": "nonsense", "SURGICAL_EMBEDDER_MODEL": "m"},
            "SURGICAL_EMBEDDER_URL begins with http:// or https://",
        ),
        ({"GITLAB_CA_BUNDLE": "/no/such.pem"}, "GITLAB_CA_BUNDLE /no/such.pem is no file"),
    ],
)
def test_a_setting_that_is_missing_or_wrong(
    environment: dict[str, str],
    sentence: str,
    sandbox: RunningSandbox,
    ledger: DuckDBLedger,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = called("sync", GOOD, "--json")
    assert_clear(code=done.exit_code, stdout=done.stdout, stderr=done.stderr, sentence=sentence)
    assert_nothing_ran(sandbox, ledger)


def test_a_dagster_home_that_does_not_exist_is_found_even_if_the_ledger_is_elsewhere(
    sandbox: RunningSandbox, made: DuckDBLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURGICAL_LEDGER", str(made.path))
    monkeypatch.setenv("DAGSTER_HOME", "/no/such/folder")
    done = called("sync", GOOD)
    sentence = "DAGSTER_HOME /no/such/folder does not exist"
    assert_clear(code=done.exit_code, stdout=done.stdout, stderr=done.stderr, sentence=sentence)
    assert_nothing_ran(sandbox, made)


COMMANDS_WITH_LEDGER = [
    pytest.param(["sync", GOOD, "--json"], 2, id="sync"),
    pytest.param(["runs", "list", "--json"], 1, id="runs list"),
    pytest.param(["runs", "show", "x", "--json"], 1, id="runs show"),
    pytest.param(["search", "valve", "--json"], 1, id="search"),
]


@pytest.mark.parametrize(("command", "exit_code"), COMMANDS_WITH_LEDGER)
def test_a_ledger_of_a_newer_version_is_refused_and_keeps_every_byte(
    command: list[str], exit_code: int, sandbox: RunningSandbox, made: DuckDBLedger
) -> None:
    with duckdb.connect(str(made.path)) as connection:
        connection.execute("INSERT INTO schema_migrations (version, name, applied_at) VALUES (99, 'later', now())")
        connection.execute("CHECKPOINT")
    before = made.path.read_bytes()
    done = called(*command)
    sentence = "has schema version 99, this program knows versions up to"
    assert_clear(
        code=done.exit_code, stdout=done.stdout, stderr=done.stderr, sentence=sentence, exit_code=exit_code
    )
    assert made.path.read_bytes() == before
    assert_nothing_ran(sandbox, made)


def test_doctor_leaves_a_ledger_of_a_newer_version_as_it_is(made: DuckDBLedger) -> None:
    with duckdb.connect(str(made.path)) as connection:
        connection.execute("INSERT INTO schema_migrations (version, name, applied_at) VALUES (99, 'later', now())")
        connection.execute("CHECKPOINT")
    before = made.path.read_bytes()
    done = called("doctor")
    assert done.exit_code == 1
    assert "FAIL\tledger" in done.stdout
    assert made.path.read_bytes() == before


@pytest.mark.parametrize(("command", "exit_code"), COMMANDS_WITH_LEDGER)
def test_a_text_file_in_place_of_the_ledger_is_refused_and_kept(
    command: list[str], exit_code: int, sandbox: RunningSandbox, ledger: DuckDBLedger
) -> None:
    ledger.path.write_text("Dear diary, this is no database.\n" * 200)
    before = ledger.path.read_bytes()
    done = called(*command)
    sentence = f"{ledger.path} cannot be used as a ledger"
    assert_clear(
        code=done.exit_code, stdout=done.stdout, stderr=done.stderr, sentence=sentence, exit_code=exit_code
    )
    assert ledger.path.read_bytes() == before
    assert sandbox.control.requests().count == 0


@pytest.mark.parametrize("command", [["runs", "list"], ["runs", "show", "x"], ["search", "valve"]])
def test_reading_before_the_first_sync_says_so_and_makes_no_ledger(
    command: list[str], ledger: DuckDBLedger
) -> None:
    done = called(*command, "--json")
    sentence = f"there is no ledger at {ledger.path} yet: the first sync makes it"
    assert_clear(code=done.exit_code, stdout=done.stdout, stderr=done.stderr, sentence=sentence, exit_code=1)
    assert not ledger.path.exists()


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["runs", "list", "--status", "happy"], "unknown status 'happy': choose of queued, running"),
        (["search", "valve", "--kind", "poem"], "unknown kind 'poem': choose of issue, merge_request, discussion"),
    ],
)
def test_a_filter_that_matches_nothing_by_mistake(command: list[str], sentence: str, made: DuckDBLedger) -> None:
    assert made.exists
    done = called(*command, "--json")
    assert_clear(code=done.exit_code, stdout=done.stdout, stderr=done.stderr, sentence=sentence)


def test_the_beginning_of_several_run_ids_is_told_with_the_candidates(made: DuckDBLedger) -> None:
    with made.write("two runs") as tx:
        for run_id in ("abc-1", "abc-2"):
            scope = Scope.parse(GOOD)
            queue_run(tx, run_id, scope=scope, mode=RunMode.SURGICAL, trigger=Trigger.CLI, queued_at=tx.now)
    done = called("runs", "show", "abc", "--json")
    assert_clear(code=done.exit_code, stdout=done.stdout, stderr=done.stderr, sentence="Give more of the id")
    assert "abc-1" in done.stderr
    assert "abc-2" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["sync"], id="no scope"),
        pytest.param(["sync", GOOD, "--entity-timeout-seconds", "0"], id="a budget of nothing"),
        pytest.param(["sync", GOOD, "--dependents-budget-seconds", "soon"], id="a budget that is no number"),
        pytest.param(["sync", GOOD, "--no-such-option"], id="an unknown option"),
        pytest.param(["runs", "list", "--limit", "0"], id="a list of nothing"),
        pytest.param(["runs", "show"], id="no run"),
        pytest.param(["search"], id="no text"),
        pytest.param(["sandbox", "serve", "--port", "99999"], id="a port that does not exist"),
        pytest.param(["demo", "--home", "dagster.yaml"], id="a file as folder"),
        pytest.param(["dance"], id="an unknown command"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_refused_with_its_usage(
    arguments: list[str], sandbox: RunningSandbox, ledger: DuckDBLedger
) -> None:
    done = called(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: " in done.stderr
    assert "Error" in done.stderr
    assert_nothing_ran(sandbox, ledger)


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["sync", "acme/rocket#9-3", "--json"], {}, "runs backwards"),
        (["sync", GOOD, "--json"], {"DAGSTER_HOME": ""}, "DAGSTER_HOME is not set"),
    ],
)
def test_the_program_itself_ends_with_exit_code_2_and_one_line(
    arguments: list[str],
    environment: dict[str, str],
    sentence: str,
    home: Path,
    sandbox: RunningSandbox,
    ledger: DuckDBLedger,
) -> None:
    done = subprocess.run(
        [PROGRAM, *arguments],
        env={**os.environ, **environment},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert_clear(code=done.returncode, stdout=done.stdout, stderr=done.stderr, sentence=sentence)
    assert_nothing_ran(sandbox, ledger)
