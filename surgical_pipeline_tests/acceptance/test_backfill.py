"""`surgical-pipeline backfill` as a process of its own, without Dagster's daemon."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import PROGRAM, Done, Installation
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.ledger_dump import query
from surgical_pipeline_tests.ledger_gate import rows
from surgical_pipeline_tests.published_schemas import check_document
from surgical_pipeline_tests.run_watch import FOR_EVER_MS
from surgical_pipeline_tests.signals import default_signals

pytestmark = pytest.mark.processes

SCHEMA = "backfill-result.schema.json"
SECOND_RUNS = "*/issues/17/discussions"
"""Asked for by the second run of issues 12 to 23 in chunks of four."""


@pytest.fixture
def here(tmp_path: Path, sandbox: RunningSandbox) -> Installation:
    return Installation.make(tmp_path, sandbox)


@contextmanager
def running(here: Installation, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        env=here.environment,
        cwd=here.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that started pytest with & has SIGINT ignored, and children would inherit that.
        preexec_fn=default_signals,  # noqa: PLW1509  it calls nothing that takes a lock
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def document(done: Done) -> Any:
    """What it printed, which must be one document."""
    return json.loads(done.stdout)


def local(here: Installation, *arguments: str) -> tuple[int, dict[str, Any]]:
    """A backfill in its own process: exit code and document."""
    done = here.run("backfill", *arguments, "--local", "--json")
    found = document(done)
    check_document(SCHEMA, found)
    return done.returncode, found


def wait_for_second_run(here: Installation) -> None:
    """The first has come to its end, and the second works; what it waits for does not come."""

    def so_far() -> bool:
        return [row.status for row in rows(here.ledger).values()] == ["succeeded", "running"]

    wait_until(so_far, limit_seconds=60, what="the second run has begun")


def outcomes(here: Installation) -> list[tuple[Any, ...]]:
    """By entity: how many runs had it, and how many of these brought it up to date."""
    return query(
        here.ledger,
        "SELECT iid, count(*), count(*) FILTER (failure_code IS NULL AND ingested) FROM entity_outcomes "
        "GROUP BY iid ORDER BY iid",
    )


def test_a_backfill_without_a_daemon_runs_in_this_process(here: Installation) -> None:
    code, found = local(here, "acme/rocket", "--issues", "12-15,20", "--mrs", "34", "--chunk", "3")
    assert code == 0
    assert found["plan"]["chunks"] == ["acme/rocket#12-14", "acme/rocket#15+20!34"]
    status = found["status"]
    assert (status["state"], status["local"], status["disagreements"]) == ("completed", True, [])
    assert status["progress"] | {"failures": None} == {
        "entities": 6, "done": 6, "unchanged": 0, "missing": 0, "failed": 0, "running": 0, "written": 0,
        "waiting": 0, "runs": 2, "runs_ended": 2, "failures": None,
    }  # fmt: skip
    found_rows = query(here.ledger, "SELECT DISTINCT mode, trigger, status, dagster_status FROM sync_runs")
    assert found_rows == [("backfill", "backfill", "succeeded", "SUCCESS")]
    (listed,) = document(here.run("backfill", "list", "--json"))
    assert (listed["backfill_id"], listed["dagster_status"]) == (found["backfill_id"], "COMPLETED_SUCCESS")


def test_only_changed_costs_a_look_at_each_batch(here: Installation, sandbox: RunningSandbox) -> None:
    local(here, "acme/rocket", "--issues", "12-15")
    sandbox.control.clear_requests()
    code, found = local(here, "acme/rocket", "--issues", "12-15", "--only-changed")
    assert (code, found["status"]["progress"]["unchanged"]) == (0, 4)
    assert sandbox.control.requests().count == found["plan"]["planning_requests"] + found["plan"]["least_requests"]


def test_a_file_names_entities_of_two_projects(here: Installation, sandbox: RunningSandbox) -> None:
    sandbox.control.create_project("acme/second")
    sandbox.control.create_issue(project="acme/second", title="first")
    (here.home / "list.csv").write_text("project,type,iid\nacme/rocket,issue,12\nacme/second,issue,1\n", "utf-8")
    code, found = local(here, "--from-file", "list.csv")
    assert (code, found["plan"]["chunks"]) == (0, ["acme/rocket#12", "acme/second#1"])


def test_what_failed_is_named_by_code_with_the_command_that_tries_again(
    here: Installation, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("/api/v4/projects/*/issues/13/discussions", status=500)
    done = here.run("backfill", "acme/rocket", "--issues", "12-14,9999", "--local")
    sandbox.control.clear_faults()
    assert done.returncode == 3
    assert "of 4 entities: 2 up to date" in done.stdout
    assert "by code: NOT_FOUND 1, SERVER_ERROR 1" in done.stdout
    backfill_id = done.stdout.partition("`surgical-pipeline backfill resume ")[2].partition("`")[0]
    assert done.stdout.endswith(f"`surgical-pipeline backfill resume {backfill_id}` tries 1 of them again.\n")
    code, again = local(here, "resume", backfill_id)
    assert (code, again["plan"]["chunks"]) == (0, ["acme/rocket#13"])
    whole = document(here.run("backfill", "status", backfill_id, "--json"))
    progress = whole["progress"]
    assert (progress["done"], progress["missing"], progress["failed"], whole["left"]) == (3, 1, 0, 0)
    assert whole["resumed_by"] == [again["backfill_id"]]
    assert here.run("backfill", "resume", backfill_id, "--local").stdout == "There is nothing to do.\n"
    assert document(here.run("backfill", "prune", backfill_id, "--json")) == {"removed": 2, "kept": 0}


def test_ctrl_c_ends_a_local_backfill_and_resume_goes_on(here: Installation, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(SECOND_RUNS, delay_ms=FOR_EVER_MS)
    with running(
        here, "backfill", "acme/rocket", "--issues", "12-23", "--chunk", "4", "--local", "--json"
    ) as process:
        wait_for_second_run(here)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    sandbox.control.clear_faults()
    assert process.returncode == 130, stderr
    found = json.loads(stdout)
    check_document(SCHEMA, found)
    assert (found["status"]["state"], found["status"]["progress"]["done"]) == ("cancelled", 4)
    code, again = local(here, "resume", found["backfill_id"])
    assert (code, again["plan"]["entities"]) == (0, 8)
    assert [(iid, done) for iid, _, done in outcomes(here)] == [(iid, 1) for iid in range(12, 24)]


def test_a_killed_backfill_is_resumed_and_each_entity_has_one_outcome_that_counts(
    here: Installation, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault(SECOND_RUNS, delay_ms=FOR_EVER_MS)
    with running(
        here, "backfill", "acme/rocket", "--issues", "12-23", "--chunk", "4", "--local", "--json"
    ) as process:
        wait_for_second_run(here)
        process.kill()
        process.communicate(timeout=60)
    sandbox.control.clear_faults()
    (killed,) = document(here.run("backfill", "list", "--json"))
    assert (killed["state"], killed["dagster_status"]) == ("incomplete", "COMPLETED_FAILED")
    code, again = local(here, "resume", killed["backfill_id"])
    assert (code, again["plan"]["chunks"]) == (0, ["acme/rocket#16-19", "acme/rocket#20-23"])
    assert sorted(row.status for row in rows(here.ledger).values()) == ["failed", *["succeeded"] * 3]
    whole = document(here.run("backfill", "status", killed["backfill_id"], "--json"))
    assert (whole["progress"]["done"], whole["left"], whole["disagreements"]) == (12, 0, [])


def test_cancel_ends_a_backfill_that_runs_in_another_process(here: Installation, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(SECOND_RUNS, delay_ms=FOR_EVER_MS)
    with running(
        here, "backfill", "acme/rocket", "--issues", "12-23", "--chunk", "4", "--local", "--json"
    ) as process:
        wait_for_second_run(here)
        (listed,) = document(here.run("backfill", "list", "--json"))
        assert listed["state"] == "running"
        done = here.run("backfill", "cancel", listed["backfill_id"], "--json")
        process.communicate(timeout=60)
    assert (done.returncode, document(done)["state"]) == (0, "cancelled")
    assert process.returncode == 130


def test_the_same_backfill_is_not_run_twice_at_once(here: Installation, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault(SECOND_RUNS, delay_ms=FOR_EVER_MS)
    arguments = ("backfill", "acme/rocket", "--issues", "12-23", "--chunk", "4", "--local")
    with running(here, *arguments):
        wait_for_second_run(here)
        second = here.run(*arguments)
    assert second.returncode == 1
    assert "the same backfill is under way already" in second.stderr


def test_without_a_daemon_nothing_is_launched_and_local_is_offered(here: Installation) -> None:
    done = here.run("backfill", "acme/rocket", "--issues", "12")
    assert done.returncode == 1
    assert "start `dagster dev`, or add --local to run it in this process" in done.stderr
    assert document(here.run("backfill", "list", "--json")) == []
    with dg.DagsterInstance.from_config(str(here.home)) as instance:
        assert instance.get_dynamic_partitions("scopes") == []


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("answer", ["n\n", "\x03"], ids=["no", "ctrl+c"])
def test_the_plan_is_seen_before_the_question_and_no_means_no(
    here: Installation, options: tuple[str, ...], answer: str
) -> None:
    """Stdout goes elsewhere, as with `| tee`."""
    command = [PROGRAM, "backfill", "acme/rocket", "--issues", "12", "--local", *options]
    with asked_on_terminal(command, here) as (process, terminal, stdout):
        seen = b""
        while b"[y/N]" not in seen:
            seen += os.read(terminal, 4096)
        plan = stdout.read_text() + seen.decode()
        os.write(terminal, answer.encode())
        while b"launched" not in seen:
            seen += os.read(terminal, 4096)
        assert process.wait(timeout=60) == 130
    assert "1 entity of acme/rocket in 1 run" in plan
    assert b"Nothing was launched." in seen
    assert document(here.run("backfill", "list", "--json")) == []


@contextmanager
def asked_on_terminal(
    command: list[str], here: Installation
) -> Iterator[tuple["subprocess.Popen[bytes]", int, Path]]:
    """The process, its terminal, and the file that its stdout is."""
    stdout = here.home / "stdout.txt"
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        default_signals()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with stdout.open("wb") as file:
        process = subprocess.Popen(
            command,
            env={**here.environment, "COLUMNS": "200"},
            cwd=here.home,
            stdin=theirs,
            stderr=theirs,
            stdout=file,
            start_new_session=True,
            preexec_fn=take_terminal,  # noqa: PLW1509  it calls nothing that takes a lock
        )
    os.close(theirs)
    try:
        yield process, ours, stdout
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize(
    "arguments", [["backfill", "start", "acme/rocket"], ["backfill", "acme/rocket"]], ids=" ".join
)
def test_the_word_start_may_be_left_out(here: Installation, arguments: list[str]) -> None:
    done = here.run(*arguments, "--issues", "12", "--local", "--json")
    assert document(done)["status"]["progress"]["done"] == 1
