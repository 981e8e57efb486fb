"""The real program, as a person or a script starts it, beside the running sandbox."""

import json
import os
from dataclasses import dataclass
from datetime import datetime

import pytest

from surgical_pipeline.domain.outcomes import SyncResult
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import OURS, Done, Installation, called
from surgical_pipeline_tests.ledger_dump import content_of, query


@dataclass(frozen=True)
class Synced:
    """An installation after a sync that succeeded and one with warnings; tests add nothing but failed runs."""

    installation: Installation
    succeeded: Done
    warned: Done

    @property
    def run_id(self) -> str:
        run_id: str = json.loads(self.succeeded.stdout)["run_id"]
        return run_id


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory, running_sandbox: RunningSandbox) -> Synced:
    running_sandbox.control.reset()
    installation = Installation.make(tmp_path_factory.mktemp("synced"), running_sandbox)
    return Synced(
        installation,
        succeeded=installation.run("sync", "acme/rocket#12", "acme/rocket!34+35", "acme/rocket#12+13", "--json"),
        warned=installation.run("sync", "acme/rocket#12+9999", "--json"),
    )


@pytest.fixture
def installation(synced: Synced) -> Installation:
    return synced.installation


# ---------------------------------------------------------------------- sync


def test_sync_json_prints_one_document_and_nothing_else_on_stdout(synced: Synced) -> None:
    assert synced.succeeded.returncode == 0, synced.succeeded.stderr
    result = SyncResult.model_validate_json(synced.succeeded.stdout)
    assert (result.completion_status, result.trigger, result.error) == ("succeeded", "cli", None)
    assert set(json.loads(synced.succeeded.stdout)) == set(SyncResult.model_fields)


def test_several_scopes_of_one_project_are_one_run(synced: Synced) -> None:
    result = SyncResult.model_validate_json(synced.succeeded.stdout)
    assert result.scope == "acme/rocket#12+13!34+35"
    assert [one.iid for one in result.entity_outcomes] == [12, 13, 34, 35]


def test_an_iid_that_does_not_exist_is_exit_code_3(synced: Synced) -> None:
    assert synced.warned.returncode == 3
    result = SyncResult.model_validate_json(synced.warned.stdout)
    assert [one.entity for one in result.entity_failures] == ["acme/rocket#9999"]
    assert result.entity_failures[0].hint


@pytest.mark.parametrize(
    ("scope", "environment", "code"),
    [
        pytest.param("acme/rocket#12", {"GITLAB_TOKEN": "not-the-token"}, "UNAUTHORIZED", id="unauthorized"),
        pytest.param("acme/nowhere#12", {}, "PROJECT_NOT_FOUND", id="unknown project"),
        pytest.param("acme/rocket#12", {"GITLAB_URL": "http://127.0.0.1:9"}, "NETWORK_ERROR", id="unreachable"),
    ],
)
def test_a_failed_sync_is_exit_code_1_a_failed_row_and_no_content(
    here: Synced, monkeypatch: pytest.MonkeyPatch, scope: str, environment: dict[str, str], code: str
) -> None:
    ledger = here.installation.ledger
    before = content_of(ledger, with_run_columns=True)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = called("sync", scope, "--json")
    assert done.exit_code == 1
    result = SyncResult.model_validate_json(done.stdout)
    assert result.error is not None
    assert (result.completion_status, result.error.code) == ("failed", code)
    assert result.error.hint
    row = f"SELECT status, phase, failure_code FROM sync_runs WHERE run_id = '{result.run_id}'"
    assert query(ledger, row) == [("failed", "preflight", code)]
    assert content_of(ledger, with_run_columns=True) == before


def test_the_program_itself_fails_without_a_traceback(installation: Installation) -> None:
    done = installation.run("sync", "acme/rocket#12", GITLAB_TOKEN="not-the-token")
    assert done.returncode == 1
    assert "Set GITLAB_TOKEN to one that is valid and not expired" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


# ---------------------------------------------------------------------- runs


def test_runs_show_prints_the_bytes_that_sync_printed(synced: Synced) -> None:
    done = synced.installation.run("runs", "show", synced.run_id, "--json")
    assert (done.returncode, done.stdout) == (0, synced.succeeded.stdout)


@pytest.fixture
def here(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> Synced:
    """The synced installation as the environment of this process."""
    monkeypatch.chdir(synced.installation.home)
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    for name, value in synced.installation.environment.items():
        if name.startswith(OURS):
            monkeypatch.setenv(name, value)
    return synced


def test_the_beginning_of_an_id_is_enough_to_show_a_run(here: Synced) -> None:
    shown = called("runs", "show", here.run_id[:8])
    assert shown.exit_code == 0
    assert "succeeded in" in shown.stdout
    assert here.run_id in shown.stdout
    assert "acme/rocket!34" in shown.stdout


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("run_id", ["no-such-run", ""])
def test_an_unknown_run_is_exit_code_2(run_id: str) -> None:
    shown = called("runs", "show", run_id, "--json")
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "Error: no run begins with" in shown.stderr


def test_runs_list_names_the_runs_newest_first(here: Synced) -> None:
    listed = called("runs", "list", "--json")
    ids = [run["run_id"] for run in json.loads(listed.stdout)]
    assert listed.exit_code == 0
    assert ids.index(json.loads(here.warned.stdout)["run_id"]) < ids.index(here.run_id)
    assert called("runs", "list", "--json", "--limit", "1").stdout.count('"run_id"') == 1
    chosen = json.loads(called("runs", "list", "--json", "--status", "succeeded").stdout)
    assert [run["run_id"] for run in chosen] == [here.run_id]


def test_runs_list_is_a_row_for_each_run_into_a_pipe(here: Synced) -> None:
    *_, warned, succeeded = [line.split("\t") for line in called("runs", "list").stdout.splitlines()]
    assert (succeeded[0], *succeeded[2:]) == (
        here.run_id,
        "succeeded",
        "done",
        "cli",
        "acme/rocket#12+13!34+35",
        "0",
        "",
    )
    assert warned[2] == "succeeded_with_warnings"
    started = json.loads(called("runs", "list", "--json").stdout)[-1]["started_at"]
    assert datetime.fromisoformat(succeeded[1]) == datetime.fromisoformat(started).replace(microsecond=0)


# ---------------------------------------------------------------------- search and doctor


@pytest.mark.usefixtures("here")
def test_search_finds_a_synced_document() -> None:
    found = called(
        "search", "countdown aborts because fuel valve telemetry arrives late", "--json", "--limit", "3"
    )
    assert found.exit_code == 0, found.stderr
    hits = json.loads(found.stdout)
    assert len(hits) == 3
    assert (hits[0]["iid"], hits[0]["project_path"]) == (12, "acme/rocket")
    assert hits[0]["score"] >= hits[1]["score"] >= hits[2]["score"]


@pytest.mark.usefixtures("here")
def test_search_is_a_row_for_each_hit_into_a_pipe_and_says_beside_it_when_there_is_nothing() -> None:
    assert "acme/rocket!34" in called("search", "valve telemetry", "--kind", "merge_request").stdout
    nothing = called("search", "valve telemetry", "--project", "acme/launchpad")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert nothing.stderr.endswith("Nothing found.\n")


def test_doctor_is_content_with_a_whole_installation(installation: Installation) -> None:
    done = installation.run("doctor")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", "gitlab"],
        ["ok", "token"],
        ["ok", "clock"],
        ["ok", "dagster"],
        ["ok", "runs"],
        ["ok", "ledger"],
        ["ok", "ledger's"],
        ["ok", "embedder"],
    ]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("environment", "check", "what_to_do"),
    [
        ({"GITLAB_URL": ""}, "gitlab", "GITLAB_URL is not set: export"),
        ({"GITLAB_TOKEN": ""}, "gitlab", "GITLAB_TOKEN is not set: create a token"),
        ({"GITLAB_CA_BUNDLE": "dagster.yaml"}, "gitlab", "cannot be read as PEM certificates"),
        ({"GITLAB_TOKEN": "not-the-token"}, "gitlab", "Set GITLAB_TOKEN to one that is valid"),
        ({"GITLAB_TOKEN": "sandbox-profile-token"}, "token", "Create a token with the scope read_api"),
        ({"SURGICAL_LEDGER": "/no/such/folder/l.duckdb"}, "ledger", "create it, or set SURGICAL_LEDGER"),
        ({"SURGICAL_EMBEDDER": "gpt"}, "embedder", "it may be wordllama, http, minilm"),
    ],
)
def test_doctor_says_of_each_failing_part_what_to_do(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], check: str, what_to_do: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = called("doctor", "--json")
    failing = [finding for finding in json.loads(done.stdout) if not finding["ok"]]
    assert done.exit_code == 1
    assert [finding["check"] for finding in failing] == [check]
    assert what_to_do in failing[0]["what_to_do"]


@pytest.mark.usefixtures("here")
def test_doctor_shows_brackets_of_an_address_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGICAL_LEDGER", "/no/[/such]/[bold]folder/l.duckdb")
    done = called("doctor")
    assert done.exit_code == 1
    assert "FAIL\tledger" in done.stdout
    assert "/no/[/such]/[bold]folder" in done.stdout
