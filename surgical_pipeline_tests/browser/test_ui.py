"""What a person sees: a prefilled launchpad, one click that runs it, and what became of each entity.

`SURGICAL_SCREENSHOTS=docs/images` keeps the pictures that the README shows.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import DagsterDev, running_dagster_dev

pytestmark = [pytest.mark.browser, pytest.mark.dagster_dev]

RUN_LIMIT_MS = 120_000


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, running_sandbox: RunningSandbox) -> Iterator[DagsterDev]:
    home = tmp_path_factory.mktemp("dagster-home")
    environment = {
        "GITLAB_URL": running_sandbox.url,
        "GITLAB_TOKEN": running_sandbox.token,
        "SURGICAL_LEDGER": str(home / "ledger.duckdb"),
        "SURGICAL_EXAMPLE_SCOPE": "acme/rocket#12-14!34+35",
    }
    with running_dagster_dev(home, environment) as running:
        yield running


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
    page.screenshot(path=pictures / "asset.png")


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
