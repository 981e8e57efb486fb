import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import DagsterDev, running_dagster_dev
from surgical_pipeline_tests.surroundings import skip_or_fail

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOAD_LIMIT_MS = 30_000
OWNER = "ana@example.com"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        skip_or_fail("no chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(LOAD_LIMIT_MS)
        expect.set_options(timeout=LOAD_LIMIT_MS)
        yield page
        browser.close()


@pytest.fixture(scope="package")
def dev_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dagster-home")


@pytest.fixture(scope="package")
def dev(dev_home: Path, running_sandbox: RunningSandbox) -> Iterator[DagsterDev]:
    """One for all files that need no events and no history: it takes 10 s to start."""
    environment = {
        "GITLAB_URL": running_sandbox.url,
        "GITLAB_TOKEN": running_sandbox.token,
        "SURGICAL_LEDGER": str(dev_home / "ledger.duckdb"),
        "SURGICAL_EXAMPLE_SCOPE": "acme/rocket#12-14!34+35",
        "SURGICAL_OWNERS": OWNER,
    }
    with running_dagster_dev(dev_home, environment) as running:
        yield running


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return Path(os.environ.get("SURGICAL_SCREENSHOTS", tmp_path))
