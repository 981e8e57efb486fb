"""`surgical-pipeline report` and the asset `report`, over what real syncs left."""

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from surgical_pipeline.definitions import defs
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.acceptance.installation import called
from surgical_pipeline_tests.conftest import Sync
from surgical_pipeline_tests.dagster_home import move_in, run_job


@pytest.fixture(scope="module")
def synced_home(
    tmp_path_factory: pytest.TempPathFactory, prepared_home: Path, running_sandbox: RunningSandbox
) -> Path:
    """One sync, in which an issue is missing and another lacks its discussions."""
    running_sandbox.control.reset()
    running_sandbox.control.add_fault("*/issues/13/discussions", status=403)
    home = shutil.copytree(prepared_home, tmp_path_factory.mktemp("synced"), dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as monkeypatch:
        move_in(home, running_sandbox, monkeypatch=monkeypatch)
        run_job(DuckDBLedger(home / "ledger.duckdb"), "acme/rocket#12-14+9999!34")
    return home


@pytest.fixture
def synced(home: Path, synced_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(synced_home, home, dirs_exist_ok=True)
    monkeypatch.chdir(home)
    return home


def test_without_arguments_it_writes_a_private_page_about_the_last_seven_days(synced: Path) -> None:
    done = called("report")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "1 run of the last 7 days, 3 of 5 entities up to date"
    page = synced / "surgical-report.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    text = page.read_text(encoding="utf-8")
    for told in ("acme/rocket#13", "FORBIDDEN", "acme/rocket#9999", "NOT_FOUND", "of 5 asked for"):
        assert told in text


def test_one_run_has_a_page_of_its_own(synced: Path) -> None:
    run_id = json.loads(called("runs", "list", "--json").stdout)[0]["run_id"]
    done = called("report", run_id[:8])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == f"run {run_id[:8]}, succeeded with warnings"
    text = (synced / f"surgical-report-{run_id[:8]}.html").read_text(encoding="utf-8")
    for told in (run_id, "Stages and lock windows", "acme/rocket!34", "FORBIDDEN"):
        assert told in text


def test_json_is_one_document_with_the_same_values_and_writes_no_page(synced: Path) -> None:
    before = set(synced.iterdir())
    values = json.loads(called("report", "--json", "--last", "24h").stdout)
    assert (values["kind"], values["states"]["failed"], values["states"]["incomplete"]) == ("period", 1, 1)
    assert values["ledger"]["file_bytes"] > 10_000
    assert values["backlog"]["model"] == "wordllama-256"
    run_id = values["newest_runs"]["items"][0]["run_id"]
    shown = json.loads(called("runs", "show", run_id, "--json").stdout)
    of_run = json.loads(called("report", run_id, "--json").stdout)
    assert (of_run["kind"], of_run["result"]) == ("run", shown)
    assert set(synced.iterdir()) == before


def test_json_and_a_page_together(synced: Path) -> None:
    done = called("report", "--json", "--html", "page.html")
    assert json.loads(done.stdout)["kind"] == "period"
    assert (synced / "page.html").exists()


def test_the_page_can_go_to_stdout_alone(synced: Path) -> None:
    before = set(synced.iterdir())
    done = called("report", "--html", "-")
    assert done.stdout.startswith("<!doctype html>")
    assert done.stdout.rstrip().endswith("</html>")
    assert set(synced.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--last", "0d"], 2, "--last: '0d' is no length of time up to ten years: write 30m, 24h, 7d or 4w"),
        (["--last", ""], 2, "--last: '' is no length of time"),
        (["nope"], 2, "no run begins with 'nope'"),
        ([""], 2, "no run begins with ''"),
        (["abc", "--last", "7d"], 2, "name a run or a time with --last, not both"),
        (["--json", "--html", "-"], 2, "--json and --html - both want stdout"),
        (["--html", "."], 1, "is a folder"),
        (["--html", "ledger.duckdb"], 1, "is there and no HTML page"),
        (["--html", "nowhere/page.html"], 1, "does not exist: create it first"),
    ],
)
@pytest.mark.usefixtures("synced")
def test_nonsense_ends_with_a_sentence(arguments: list[str], code: int, told: str) -> None:
    done = called("report", *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("home")
def test_without_a_ledger_it_says_so() -> None:
    done = called("report")
    assert done.exit_code == 1
    assert "there is no ledger at" in done.stderr


def test_what_is_not_configured_is_left_out_and_said(synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITLAB_URL")
    monkeypatch.setenv("SURGICAL_EMBEDDER", "http")
    assert called("report").exit_code == 0
    text = (synced / "surgical-report.html").read_text(encoding="utf-8")
    assert "Not known: no embedder is configured where this page was made." in text
    assert '<a href="http' not in text


def test_help_and_a_sync_load_neither_charts_nor_templates() -> None:
    program = (
        "import sys; from surgical_pipeline.cli.main import app\n"
        "import surgical_pipeline.cli.actions.sync\n"
        "heavy = ('altair', 'vl_convert', 'surgical_pipeline.report.values')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def materialized(**config: str) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("report_job")
    with dg.DagsterInstance.get() as instance:
        return job.execute_in_process(
            instance=instance, run_config={"ops": {"report": {"config": config}}}, raise_on_error=False
        )


def test_the_asset_makes_the_page_with_a_link_and_figures_that_plot(synced: Path) -> None:
    done = materialized()
    assert done.success
    (materialization,) = done.asset_materializations_for_node("report")
    found: dict[str, Any] = {name: value.value for name, value in materialization.metadata.items()}
    page = synced / "report.html"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert (found["page"], found["path"]) == (page.as_uri(), str(page))
    assert (found["entities synced"], found["entities not up to date"], found["runs"]) == (3, 2, 1)
    assert found["rows of entities"] == 4
    assert found["ledger bytes"] > 10_000


def test_the_asset_links_to_where_people_can_open_the_page(synced: Path) -> None:
    done = materialized(path=str(synced / "page.html"), link="https://intranet/page.html", last="24h")
    (materialization,) = done.asset_materializations_for_node("report")
    assert materialization.metadata["page"].value == "https://intranet/page.html"
    assert (synced / "page.html").exists()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"last": "soon"}, "'soon' is no length of time"),
        ({"path": "/nowhere/page.html"}, "the folder /nowhere does not exist"),
    ],
)
@pytest.mark.usefixtures("synced")
def test_the_asset_says_what_is_wrong(config: dict[str, str], told: str) -> None:
    done = materialized(**config)
    assert not done.success
    failure = done.failure_data_for_node("report")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert told in (failure.user_failure_data.description or "")


def test_its_schedule_is_off_and_its_run_is_no_sync(sync: Sync, synced: Path) -> None:
    del sync, synced
    schedule = defs.resolve_schedule_def("report")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert materialized().success
    assert len(json.loads(called("runs", "list", "--json").stdout)) == 1
