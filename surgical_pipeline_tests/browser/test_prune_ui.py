"""What a person sees in Dagster after a prune: runs that are left, the catalog, and the schedule that prunes."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import DagsterDev, running_dagster_dev, wait_until
from surgical_pipeline_tests.event_chain import PROGRAM
from surgical_pipeline_tests.ledger_gate import rows
from surgical_pipeline_tests.years import Years, make_years

pytestmark = [pytest.mark.browser, pytest.mark.dagster_dev]

COPIES = 20
LOCATION = "locations/__repository__@surgical_pipeline.definitions"
CHECKS = ("nothing_outside_scope_changed", "embeddings_are_current", "no_vector_without_document")


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory, prepared_home: Path, running_sandbox: RunningSandbox) -> Years:
    home = shutil.copytree(prepared_home, tmp_path_factory.mktemp("years"), dirs_exist_ok=True)
    return make_years(home, running_sandbox, copies=COPIES)


@pytest.fixture(scope="module")
def dev(years: Years, running_sandbox: RunningSandbox) -> Iterator[DagsterDev]:
    """In which the command has pruned, while all ran. Made before `page`, whose event loop lets no other run."""
    environment = {
        "GITLAB_URL": running_sandbox.url,
        "GITLAB_TOKEN": running_sandbox.token,
        "DAGSTER_HOME": str(years.home),
        "SURGICAL_LEDGER": str(years.ledger.path),
    }
    with running_dagster_dev(years.home, environment) as running:
        subprocess.run(
            [PROGRAM, "prune"], cwd=years.home, env={**os.environ, **environment}, check=True, timeout=120
        )
        yield running


def test_the_list_of_runs_shows_those_that_are_left_and_their_pages_work(
    dev: DagsterDev, years: Years, page: Page, pictures: Path
) -> None:
    page.goto(f"{dev.url}/runs")
    newest = years.young[-1]
    expect(page.get_by_text(newest[:8]).first).to_be_visible()
    for run_id in years.old:
        expect(page.get_by_text(run_id[:8])).to_have_count(0)
    page.screenshot(path=pictures / "runs-after-a-prune.png")
    page.goto(f"{dev.url}/runs/{newest}")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible()
    page.goto(f"{dev.url}/runs/{years.old[0]}")
    expect(
        page.get_by_text(re.compile("No run found|not found|does not exist", re.IGNORECASE)).first
    ).to_be_visible()


def test_the_catalog_still_shows_the_newest_of_each_asset_and_its_checks(
    dev: DagsterDev, years: Years, page: Page, pictures: Path
) -> None:
    page.goto(f"{dev.url}/assets/embeddings")
    expect(page.get_by_text("Latest materialization")).to_be_visible()
    expect(page.locator(f"a[href*='/runs/{years.young[-1]}']").first).to_be_visible()
    expect(page.get_by_text("acme/rocket#14").first).to_be_attached()
    page.screenshot(path=pictures / "asset-after-a-prune.png")
    for check in CHECKS:
        page.goto(f"{dev.url}/assets/embeddings?view=checks&checkDetail={check}")
        expect(page.get_by_text("Passed", exact=True).first).to_be_visible()


def test_the_schedule_is_there_and_off(dev: DagsterDev, page: Page, pictures: Path) -> None:
    page.goto(f"{dev.url}/{LOCATION}/schedules/prune")
    expect(page.get_by_text("Deletes runs that ended more than 30 days ago")).to_be_visible()
    expect(page.get_by_text("10 3 * * *").or_(page.get_by_text(re.compile("03:10|3:10"))).first).to_be_visible()
    page.screenshot(path=pictures / "schedule-prune.png")


def test_the_mirror_brings_nothing_back_and_new_runs_go_on(dev: DagsterDev, years: Years) -> None:
    run_id = dev.run({"project": "acme/rocket", "issue_iids": [12]})
    assert dev.wait_for_end(run_id) == "SUCCESS"
    ledger = years.ledger.path
    wait_until(
        lambda: rows(ledger)[run_id].dagster_status == "SUCCESS", limit_seconds=60, what="the mirror has looked"
    )
    assert years.in_ledger() == {*years.young, run_id}
    assert years.in_dagster() == {*years.young, run_id}
