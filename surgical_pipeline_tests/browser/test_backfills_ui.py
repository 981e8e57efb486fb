"""Backfills as people launch them in the browser: planned in the launchpad, and chunks on the page Partitions.

`make pictures` keeps the pictures that the README and docs/backfills.md show.
"""

import re
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect

from surgical_pipeline_tests.dagster_dev import DagsterDev, wait_until
from surgical_pipeline_tests.ledger_gate import rows

pytestmark = [pytest.mark.browser, pytest.mark.dagster_dev, pytest.mark.usefixtures("sandbox")]

RUN_LIMIT_MS = 120_000
BACKFILL_LIMIT_SECONDS = 180
JOBS = "locations/__repository__@surgical_pipeline.definitions/jobs"
WISH = """\
ops:
  plan_and_launch:
    config:
      project: acme/rocket
      issues: 41-46
      merge_requests: "34"
      chunk: 4
"""


def test_a_backfill_is_planned_in_the_launchpad_and_its_run_links_to_it(
    page: Page, dev: DagsterDev, pictures: Path
) -> None:
    page.goto(f"{dev.url}/{JOBS}/plan_backfill/playground")
    expect(page.get_by_text("acme/rocket").first).to_be_visible()
    editor = page.locator(".CodeMirror").first
    editor.evaluate(
        "(one, text) => { one.CodeMirror.setValue(text); one.CodeMirror.focus(); one.CodeMirror.setCursor(6, 8) }",
        WISH,
    )
    expect(page.get_by_text("Default: 500; 1 to 1,000.").first).to_be_visible()
    launch = page.get_by_role("button", name="Launch Run")
    expect(launch).to_be_enabled()
    page.screenshot(path=pictures / "plan-backfill.png")

    launch.click()
    page.wait_for_url("**/runs/*")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=RUN_LIMIT_MS)
    expect(page.get_by_text("7 entities in 2 runs").first).to_be_visible()
    page.screenshot(path=pictures / "planned-backfill.png")
    with page.expect_popup() as opened:
        page.locator("a[href*='/runs/b/']").first.click()
    backfill = opened.value
    expect(backfill.get_by_text("2 partitions").first).to_be_visible()
    expect(backfill.get_by_text("surgical_backfill_job", exact=True).first).to_be_visible()
    backfill.close()


def test_one_chunk_is_chosen_by_its_key_and_launched(
    page: Page, dev: DagsterDev, dev_home: Path, pictures: Path
) -> None:
    keys = ("acme/rocket#47-50", "acme/rocket#51-54")
    with dg.DagsterInstance.from_config(str(dev_home)) as instance:
        instance.add_dynamic_partitions("scopes", list(keys))
    page.goto(f"{dev.url}/{JOBS}/surgical_backfill_job/partitions")
    page.get_by_role("button", name=re.compile("Launch backfill")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Select a partition or create one").click()
    page.get_by_placeholder("Filter partitions").fill("#51")
    page.get_by_text(keys[1]).locator("visible=true").last.click()
    dialog.get_by_text("Partitions", exact=True).click()
    expect(page.get_by_placeholder("Filter partitions")).to_be_hidden()
    submit = dialog.get_by_role("button", name="Submit 1 run")
    expect(submit).to_be_enabled()
    page.screenshot(path=pictures / "partitions.png")

    submit.click()
    told = page.get_by_text(re.compile("^Created backfill")).first.inner_text()
    backfill_id = told.split()[-1]
    wait_until(
        lambda: dev.backfill_status(backfill_id) == "COMPLETED_SUCCESS",
        limit_seconds=BACKFILL_LIMIT_SECONDS,
        what="the backfill ends",
    )
    launched = dev.runs_with_tag("dagster/backfill", backfill_id)
    found = [row for run_id, row in rows(dev_home / "ledger.duckdb").items() if run_id in launched]
    assert [(row.values["scope"], row.values["trigger"], row.status) for row in found] == [
        (keys[1], "backfill", "succeeded")
    ]
    page.goto(f"{dev.url}/runs/b/{backfill_id}")
    expect(page.get_by_text("100% completed")).to_be_visible()
