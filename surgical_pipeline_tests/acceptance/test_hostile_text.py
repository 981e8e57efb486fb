"""What somebody wrote into GitLab, a project's path or an error, on its way through commands and the UI."""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._serdes import serialize_value

from surgical_pipeline.defs.launch import launch
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.defs.sync import asset
from surgical_pipeline.domain.budgets import Budgets
from surgical_pipeline.domain.dependents import CORE_DEPENDENTS
from surgical_pipeline.domain.lifecycle import RunMode, Trigger
from surgical_pipeline.domain.scope import Scope
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.recorder import SyncRunRecorder
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import PROGRAM, Installation
from surgical_pipeline_tests.acceptance.pseudo_terminal import on_terminal
from surgical_pipeline_tests.integration.embedders.embedding_server import running_server, status

ACTING = "\x1b[2J\x1b]52;c;cm0=\x07\x1b]8;;https://evil.test\x1b\\\u202e\x9b31m\x85\u2028\u200b"
HOSTILE = f"Valve{ACTING}\r\nError: all is well\tok | pipe"
SIGN = r"\x1b[2J"
"""What is to be seen of it."""


@dataclass(frozen=True)
class Attacked:
    """A ledger that took all of it in. ``run_id``: a run with failures whose messages act."""

    installation: Installation
    run_id: str


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, running_sandbox: RunningSandbox) -> Iterator[Attacked]:
    attack(running_sandbox)
    installation = Installation.make(tmp_path_factory.mktemp("attacked"), running_sandbox)
    done = installation.run("sync", "acme/rocket#12+9999", "--json")
    assert done.returncode == 3, done.stderr
    run_id = json.loads(done.stdout)["run_id"]
    with duckdb.connect(str(installation.ledger)) as connection:
        for table, column in (("entity_failures", "message"), ("entity_outcomes", "failure_message")):
            connection.execute(
                f"UPDATE {table} SET {column} = {column} || ? WHERE {column} IS NOT NULL", [HOSTILE]
            )
        connection.execute("UPDATE sync_runs SET scope = ?", [HOSTILE])
        connection.execute("UPDATE documents SET web_url = web_url || ?", [ACTING])
        connection.execute("DELETE FROM embeddings")
    with running_server() as embedder:
        embedder.always = status(400, json.dumps({"error": {"message": HOSTILE}}, ensure_ascii=False))
        installation.environment.update(
            SURGICAL_EMBEDDER="http", SURGICAL_EMBEDDER_URL=embedder.url, SURGICAL_EMBEDDER_MODEL=f"m{ACTING}"
        )
        yield Attacked(installation, run_id)
    running_sandbox.control.reset()


def attack(sandbox: RunningSandbox) -> None:
    """All that people can write into an issue, and what no GitLab sends."""
    sandbox.control.reset()
    author = {"id": 1, "username": HOSTILE, "name": HOSTILE}
    sandbox.control.update_issue(12, title=HOSTILE, description=HOSTILE, labels=[HOSTILE], author=author)
    sandbox.control.add_note(12, HOSTILE)
    sandbox.control.add_fault("*/projects/acme%2Frocket", override={"path_with_namespace": f"acme/rocket{ACTING}"})
    refused = json.dumps({"message": f"403 {HOSTILE}"}, ensure_ascii=False)
    sandbox.control.add_fault("*/issues/12/resource_label_events", status=403, body=refused)
    sandbox.control.add_fault("*/issues/12/resource_state_events", headers={"content-type": "text/\x9b2J"})


COMMANDS = [
    pytest.param(["sync", "acme/rocket#12", "--verbose"], id="sync"),
    pytest.param(["retry", "RUN_ID"], id="retry"),
    pytest.param(["runs", "list"], id="runs list"),
    pytest.param(["runs", "show", "RUN_ID"], id="runs show"),
    pytest.param(["runs", "reconcile"], id="runs reconcile"),
    pytest.param(["search", "valve"], id="search"),
    pytest.param(["search", "valve", "--json"], id="search --json"),
    pytest.param(["runs", "show", "RUN_ID", "--json"], id="runs show --json"),
    pytest.param(["embed-backlog"], id="embed-backlog"),
    pytest.param(["report", "--html", "-"], id="report"),
    pytest.param(["report", "RUN_ID", "--html", "-"], id="report RUN_ID"),
    pytest.param(["report", "--json"], id="report --json"),
    pytest.param(["doctor"], id="doctor"),
    pytest.param(["ledger", "check"], id="ledger check"),
]


def acting(text: str) -> set[str]:
    """Characters in it that a terminal would obey or not show."""
    categories = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return {char for char in text if char not in "\n\t" and unicodedata.category(char) in categories}


def prepared(attacked: Attacked, command: list[str]) -> list[str]:
    if command == ["runs", "reconcile"]:
        lose_a_run(attacked.installation)
    return [attacked.run_id if word == "RUN_ID" else word for word in command]


def lose_a_run(installation: Installation) -> None:
    """One whose process was on a machine with such a name."""
    ledger = DuckDBLedger(installation.ledger)
    run_id = f"lost-{len(list(installation.home.iterdir()))}-{id(ledger)}"
    SyncRunRecorder(ledger, run_id).start_surgical(
        Scope.parse("acme/rocket#12"), mode=RunMode.SURGICAL, trigger=Trigger.CLI
    )
    with duckdb.connect(str(installation.ledger)) as connection:
        connection.execute(
            "UPDATE sync_runs SET host = ?, heartbeat_at = now() - INTERVAL 1 DAY WHERE run_id = ?",
            [HOSTILE, run_id],
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_on_a_terminal_it_is_seen_and_obeyed_by_nobody(attacked: Attacked, command: list[str]) -> None:
    shown = on_terminal(
        [PROGRAM, *prepared(attacked, command)],
        environment=attacked.installation.environment,
        folder=attacked.installation.home,
    )
    assert acting(shown.text) == set()
    assert "Traceback" not in shown.text
    assert ("\\u001b[2J" if "--json" in command else SIGN) in shown.text.replace("\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_into_a_pipe_it_is_seen_and_forges_no_line(attacked: Attacked, command: list[str]) -> None:
    done = attacked.installation.run(*prepared(attacked, command))
    assert acting(done.stdout + done.stderr) == set()
    assert "Traceback" not in done.stdout + done.stderr
    assert ("\\u001b[2J" if "--json" in command else SIGN) in done.stdout + done.stderr
    assert not any(line.startswith("Error: all is well") for line in (done.stdout + done.stderr).splitlines())


def test_json_says_what_was_written(attacked: Attacked) -> None:
    found = attacked.installation.run("search", "valve", "--json")
    hit = next(hit for hit in json.loads(found.stdout) if hit["kind"] == "issue")
    assert hit["title"].startswith("Valve\x1b[2J\x1b]52;c;cm0=\x07")
    assert ACTING in hit["project_path"]
    shown = json.loads(attacked.installation.run("runs", "show", attacked.run_id, "--json").stdout)
    assert all(failure["message"].endswith(HOSTILE) for failure in shown["entity_failures"])


def event_log(run_id: str) -> list[Any]:
    with dg.DagsterInstance.get() as instance:
        return [json.loads(serialize_value(entry)) for entry in instance.all_logs(run_id)]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


async def defect(*_: object, **__: object) -> None:
    raise ValueError(HOSTILE)


def test_the_event_log_and_the_metadata_of_the_ui_hold_nothing_that_acts(
    ledger: DuckDBLedger, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack(sandbox)
    scope = Scope.parse("acme/rocket#12")
    warned = launch(scope, budgets=Budgets(), dependents=CORE_DEPENDENTS, ledger=ledger)
    monkeypatch.setattr(asset, "run_preflight", defect)
    failed = launch(scope, budgets=Budgets(), dependents=CORE_DEPENDENTS, ledger=ledger)
    for run_id in (warned, failed):
        told = [text for entry in event_log(run_id) for text in texts(entry)]
        assert {char for text in told for char in acting(text)} == set()
        assert any(SIGN in text for text in told)
    tables = [text for entry in event_log(warned) for text in texts(entry) if text.startswith("| entity | row |")]
    assert tables
    for row in tables[0].partition("\n\n")[0].splitlines():  # what to do is told below the table
        assert row.replace("\\\\", "").replace("\\|", "").count("|") == 7


def test_what_the_mirror_tells_dagster_holds_nothing_that_acts(home: Any, ledger: DuckDBLedger) -> None:
    lose_a_run(Installation(home, {}))
    with dg.DagsterInstance.get() as instance:
        mirror = Mirror(instance, ledger)
        mirror.reconcile()
    assert [ACTING in change.detail for change in mirror.changes] == [True]
