"""What a person sees: a prefilled launchpad, one click that runs it, and what became of each entity.

`make pictures` keeps the pictures that the README shows.
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.browser.conftest import OWNER
from surgical_pipeline_tests.dagster_dev import DagsterDev
from surgical_pipeline_tests.ledger_gate import rows
from surgical_pipeline_tests.run_watch import FOR_EVER_MS, wait_for_ending, wait_for_request

pytestmark = [pytest.mark.browser, pytest.mark.dagster_dev]

RUN_LIMIT_MS = 120_000


def test_the_prefilled_launchpad_runs_and_the_asset_page_tells_every_outcome(
    page: Page, dev: DagsterDev, pictures: Path
) -> None:
    page.goto(f"{dev.url}/locations/__repository__@surgical_pipeline.definitions/jobs/surgical_sync_job")
    menu = page.get_by_role("button", name="Materialize all").locator("xpath=following::button[1]")
    menu.click()
    page.get_by_role("menuitem", name="Open launchpad").click()
    expect(page.get_by_text("acme/rocket")).to_be_visible()
    expect(page.get_by_text("entity_timeout_seconds").first).to_be_visible()
    materialize = page.locator("button").filter(has_text=re.compile("^Materialize$"))
    expect(materialize).to_be_enabled()
    editor = page.get_by_role("dialog").locator(".CodeMirror")
    editor.evaluate("one => { one.CodeMirror.focus(); one.CodeMirror.setCursor(9, 8) }")
    expect(page.get_by_text("Limit: seconds for embedding").first).to_be_visible()
    page.screenshot(path=pictures / "launchpad.png")

    materialize.click()
    page.wait_for_url("**/runs/*")
    expect(page.get_by_text("Success", exact=True).first).to_be_visible(timeout=RUN_LIMIT_MS)
    for stage in ("preflight", "ingest", "dependents", "docs", "embed"):
        expect(page.get_by_text(stage).first).to_be_visible()
    page.screenshot(path=pictures / "run.png")

    page.goto(f"{dev.url}/assets/embeddings")
    for entity in ("acme/rocket#12", "acme/rocket!35"):
        expect(page.get_by_text(entity).first).to_be_attached()


@pytest.mark.parametrize(
    ("asset", "check", "violations", "looked_at"),
    [
        ("embeddings", "nothing_outside_scope_changed", "rows outside the scope", "rows that this run wrote"),
        (
            "embeddings",
            "embeddings_are_current",
            "documents without a current vector",
            "documents that this run regenerated",
        ),
        ("embeddings", "no_vector_without_document", "vectors without a live document", "vectors in the ledger"),
        (
            "documents",
            "no_duplicate_document",
            "documents that are not the only one",
            "live documents in the ledger",
        ),
    ],
)
def test_each_check_tells_its_numbers(
    page: Page, dev: DagsterDev, *, asset: str, check: str, violations: str, looked_at: str
) -> None:
    """After the run above: nothing is wrong, and something was looked at."""
    page.goto(f"{dev.url}/assets/{asset}?view=checks&checkDetail={check}")
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(f"^{violations} 0$"))).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(f"^{looked_at} [1-9][0-9]*$"))).to_be_visible()


def test_the_page_of_an_asset_tells_its_rows_columns_place_and_owner_and_plots_its_figures(
    page: Page, dev: DagsterDev, dev_home: Path, pictures: Path
) -> None:
    """After the run above."""
    page.goto(f"{dev.url}/assets/gitlab/issues")
    expect(page.get_by_text("Row count", exact=True)).to_be_visible()
    for text in (OWNER, "gitlab.issues", f"duckdb://{dev_home}/ledger.duckdb"):
        expect(page.get_by_text(text).first).to_be_visible()
    expect(page.get_by_role("link", name="docs/data.md")).to_be_visible()
    page.screenshot(path=pictures / "asset.png")
    page.get_by_placeholder("Filter columns").fill("author_username")
    expect(page.get_by_text("who opened it", exact=True).first).to_be_visible()

    page.get_by_role("button", name="Plots").click()
    for figure in ("dagster/row_count", "written", "lock_share"):
        plot = page.get_by_text(figure, exact=True).locator("xpath=following::canvas[1]")
        expect(plot.first).to_be_visible()


def test_the_outcome_table_has_failures_first_with_advice_and_links_to_gitlab(
    page: Page, dev: DagsterDev, sandbox: RunningSandbox, pictures: Path
) -> None:
    sandbox.control.add_fault("*/issues/13/discussions", status=500)
    run_id = dev.run({"scope": "acme/rocket#12-14+9999"})
    assert dev.wait_for_end(run_id) == "SUCCESS"
    page.goto(f"{dev.url}/runs?q[0]=tag%3Asurgical%2Foutcome%3Dsucceeded_with_warnings")
    expect(page.get_by_text(run_id[:8]).first).to_be_visible()

    page.goto(f"{dev.url}/assets/embeddings")
    table = page.get_by_role("table").filter(has_text="failures and warnings").last
    entities = table.get_by_role("row").filter(has=page.get_by_role("link"))
    expect(entities.nth(0)).to_contain_text("acme/rocket#13")
    expect(entities.nth(0)).to_contain_text("SERVER_ERROR")
    expect(entities.nth(1)).to_contain_text("NOT_FOUND")
    expect(page.get_by_text("What to do:").first).to_be_attached()
    page.set_viewport_size({"width": 1760, "height": 800})
    table.evaluate("one => one.closest('tr').scrollIntoView({block: 'center', inline: 'start'})")
    page.screenshot(path=pictures / "outcomes.png")
    page.set_viewport_size({"width": 1400, "height": 900})

    page.context.route("https://gitlab.acme.example/**", lambda route: route.fulfill(body="the issue's page"))
    table.get_by_role("link", name="acme/rocket#13").click()
    page.wait_for_url("https://gitlab.acme.example/acme/rocket/-/issues/13")


def test_a_run_is_terminated_on_its_page(
    page: Page, dev: DagsterDev, dev_home: Path, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("*/issues/13/discussions", delay_ms=FOR_EVER_MS)
    run_id = dev.run({"scope": "acme/rocket#12-14"})
    wait_for_request(sandbox, "/issues/13/discussions")
    page.goto(f"{dev.url}/runs/{run_id}")
    page.get_by_role("button", name="Terminate").click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Terminate")).click()
    expect(page.get_by_text("Canceled", exact=True).first).to_be_attached(timeout=RUN_LIMIT_MS)
    assert dev.wait_for_end(run_id) == "CANCELED"
    ledger = dev_home / "ledger.duckdb"
    wait_for_ending(ledger, run_id)
    assert rows(ledger)[run_id].status == "cancelled"
