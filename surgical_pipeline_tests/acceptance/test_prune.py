"""`surgical-pipeline prune` over runs that really happened: what is left works as before."""

import json
import logging
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from surgical_pipeline.cli.actions import disk
from surgical_pipeline.definitions import defs
from surgical_pipeline.defs.mirror import Mirror
from surgical_pipeline.defs.sync.asset import surgical_sync
from surgical_pipeline.defs.sync.checks import ledger_checks
from surgical_pipeline.ledger.invariants import check
from surgical_pipeline.ledger.runs import mark_of, went_back
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import PROGRAM, called
from surgical_pipeline_tests.dagster_home import run_job
from surgical_pipeline_tests.ledger_dump import content_of
from surgical_pipeline_tests.ledger_gate import held
from surgical_pipeline_tests.many_runs import age
from surgical_pipeline_tests.years import OLD, Years, make_years

COPIES = 24


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, prepared_home: Path, running_sandbox: RunningSandbox) -> Years:
    home = shutil.copytree(prepared_home, tmp_path_factory.mktemp("years"), dirs_exist_ok=True)
    return make_years(home, running_sandbox, copies=COPIES)


@pytest.fixture
def years(home: Path, made: Years) -> Years:
    return made.copied_to(home)


def pruned(*arguments: str) -> dict[str, Any]:
    done = called("prune", *arguments, "--json")
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_old_runs_go_from_both_sides_and_content_and_catalog_stay(years: Years) -> None:
    content = content_of(years.ledger.path, with_run_columns=True)
    assert years.in_dagster() == years.with_files() == years.in_ledger() == {*years.old, *years.young}
    told = pruned("--dry-run")
    assert len(years.in_ledger()) == COPIES + 6
    done = pruned()
    assert years.in_dagster() == years.with_files() == years.in_ledger() == set(years.young)
    assert (done["dagster"]["runs"], done["ledger"]["runs"]) == (COPIES, COPIES)
    assert (told["dagster"]["runs"], told["ledger"]["runs"]) == (COPIES, COPIES)
    assert told["dagster"]["files"] == done["dagster"]["files"] > 7 * COPIES
    assert done["dagster"]["bytes"] > 200_000 * COPIES
    assert content_of(years.ledger.path, with_run_columns=True) == content
    with dg.DagsterInstance.get() as instance, years.ledger.read() as tx:
        assert check(tx).ok
        newest = instance.get_latest_materialization_events(surgical_sync.keys)
        assert {entry.run_id for entry in newest.values() if entry} == {years.young[-1]}
        assert len(newest) == len(surgical_sync.keys)
        checks = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(ledger_checks.check_keys))
        assert {one.run_id for one in checks.values()} <= set(years.young)
        assert checks.keys() == set(ledger_checks.check_keys)
    again = pruned()
    assert (again["dagster"]["runs"], again["dagster"]["files"], again["ledger"]["runs"]) == (0, 0, 0)


def test_the_mirror_brings_nothing_back_and_sensors_know_their_ledger(years: Years) -> None:
    with years.ledger.read() as tx:
        mark = mark_of(tx)
    pruned()
    with dg.DagsterInstance.get() as instance:
        mirror = Mirror(instance, years.ledger)
        mirror.reconcile()
    assert mirror.changes == []
    assert years.in_ledger() == set(years.young)
    with years.ledger.read() as tx:
        assert not went_back(tx, mark)
        assert mark_of(tx) == mark


def test_what_only_dagster_forgot_can_be_shown_and_repeated(
    years: Years, caplog: pytest.LogCaptureFixture, sandbox: RunningSandbox
) -> None:
    """The youngest run of an issue that failed for it."""
    sandbox.control.add_fault("/api/v4/projects/*/issues/13/discussions", status=500)
    failed = run_job(years.ledger, "acme/rocket#13")
    sandbox.control.reset()
    run_job(years.ledger, "acme/rocket#12")
    with dg.DagsterInstance.get() as instance:
        instance.delete_run(failed.run_id)
    assert called("runs", "show", failed.run_id).exit_code == 0
    with caplog.at_level(logging.WARNING):
        done = called("retry", failed.run_id, "--json")
    assert done.exit_code == 0, done.output
    assert f"Dagster no longer has run {failed.run_id}" in caplog.text
    assert json.loads(done.stdout)["scope"] == "acme/rocket#13"


@pytest.mark.parametrize("command", [["retry"], ["runs", "show"]])
def test_a_run_that_was_pruned_cannot_be_repeated_or_shown_and_that_is_said(
    years: Years, command: list[str]
) -> None:
    pruned()
    done = called(*command, years.old[0])
    assert done.exit_code == 2
    assert f"no run begins with '{years.old[0]}': it never was, or it was pruned" in " ".join(done.stderr.split())


def test_the_last_run_of_an_issue_stays_in_the_ledger_and_one_of_each_asset_in_dagster(years: Years) -> None:
    """All runs are old after a day of which nobody has synced anything."""
    age(years.home, years.young, OLD)
    done = pruned()
    assert years.in_dagster() == years.with_files()
    assert 1 <= len(years.in_dagster()) <= 2
    assert set(years.young[-3:]) == years.in_ledger()
    assert done["ledger"]["kept"]
    shown = called("runs", "list").stdout
    assert len(shown.splitlines()) == 3


@pytest.mark.usefixtures("years")
def test_what_people_read_says_counts_bytes_and_what_stays() -> None:
    told = called("prune", "--dry-run").stdout
    assert f"Dagster: {COPIES} runs would be deleted, " in told
    assert f"ledger: {COPIES} runs and 0 settled events would be deleted; " in told
    done = called("prune", "--older-than", "40d", "--trigger", "cli").stdout
    assert f"Dagster: {COPIES} runs deleted, " in done
    assert "MB on the disk" in done
    assert "`surgical-pipeline ledger compact` gives it back" in done
    assert "Dagster: 0 runs deleted, 0 files, 0 bytes on the disk" in called("prune").stdout


def test_runs_of_other_triggers_stay(years: Years) -> None:
    assert pruned("--trigger", "sensor,backfill")["dagster"]["runs"] == 0
    assert years.in_ledger() >= set(years.old)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--older-than", "soon"],
            "an age is a number with m, h, d or w behind it, such as 30d or 12h, not 'soon'",
        ),
        (["--older-than", "0d"], "not '0d'"),
        (["--older-than", ""], "not ''"),
        (["--trigger", "everything"], "a trigger is one of launchpad, sensor, backfill, cli, not 'everything'"),
        (["--trigger", ""], "a trigger is one of launchpad, sensor, backfill, cli, not ''"),
    ],
)
@pytest.mark.usefixtures("home")
def test_nonsense_is_refused_before_anything_is_opened(arguments: list[str], told: str) -> None:
    done = called("prune", *arguments)
    assert done.exit_code == 2
    assert told in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_a_new_home_has_nothing_to_prune(home: Path) -> None:
    done = pruned()
    assert (done["dagster"]["runs"], done["ledger"]["runs"], done["ledger"]["bytes_after"]) == (0, 0, 0)
    assert not (home / "ledger.duckdb").exists()


def test_a_ledger_that_is_held_ends_it_with_one_line_and_the_next_call_does_the_rest(
    years: Years, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SURGICAL_LOCK_TIMEOUT_SECONDS", "0.2")
    with held(years.ledger.path):
        done = called("prune")
    assert done.exit_code == 1
    assert "was held by other runs" in done.stderr
    assert pruned()["ledger"]["runs"] == COPIES


def test_doctor_recommends_it_when_there_are_many_runs_or_bytes(
    years: Years, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> dict[str, Any]:
        [one] = [one for one in json.loads(called("doctor", "--json").stdout) if one["check"] == "runs"]
        return dict(one)

    assert found()["found"].startswith(f"Dagster keeps {COPIES + 6} runs, ")
    assert found()["what_to_do"] == ""
    with monkeypatch.context() as few:
        few.setattr(disk, "MANY_RUNS", COPIES)
        assert "`surgical-pipeline prune`" in found()["what_to_do"]
    with monkeypatch.context() as small:
        small.setattr(disk, "MANY_BYTES", 1_000_000)
        assert "schedule prune" in found()["what_to_do"]
        assert found()["ok"] is True
    assert years.in_dagster()


def test_the_job_does_the_same_and_says_so(years: Years) -> None:
    with dg.DagsterInstance.get() as instance:
        done = defs.resolve_job_def("prune").execute_in_process(instance=instance)
        assert done.success
        [output] = [event for event in done.all_events if event.event_type_value == "STEP_OUTPUT"]
        metadata = output.step_output_data.metadata
        assert metadata["runs deleted in Dagster"].value == COPIES
        assert instance.has_run(done.run_id)
    assert years.in_ledger() == set(years.young)
    assert years.in_dagster() == {*years.young, done.run_id}


def test_a_wrong_age_in_the_jobs_config_fails_its_run_with_a_sentence(years: Years) -> None:
    config = {"ops": {"delete_old_runs": {"config": {"older_than": "yesterday"}}}}
    with dg.DagsterInstance.get() as instance:
        done = defs.resolve_job_def("prune").execute_in_process(
            instance=instance, run_config=config, raise_on_error=False
        )
    assert not done.success
    assert years.in_ledger() >= set(years.old)


def test_two_at_once_delete_everything_once(years: Years) -> None:
    documents: list[dict[str, Any]] = []

    def prune() -> None:
        done = subprocess.run(
            [PROGRAM, "prune", "--json"], cwd=years.home, capture_output=True, text=True, timeout=120, check=True
        )
        documents.append(json.loads(done.stdout))

    threads = [threading.Thread(target=prune) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(documents) == 2
    for side in ("dagster", "ledger"):
        assert sum(document[side]["runs"] for document in documents) == COPIES
    assert years.in_dagster() == years.with_files() == years.in_ledger() == set(years.young)
