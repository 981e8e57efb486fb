"""What a person sees of the sensors: what each is for, what its last ticks came to, and a run that a hook asked for."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.event_chain import EventChain, event_chain

pytestmark = [pytest.mark.browser, pytest.mark.dagster_dev]

LIMIT_SECONDS = 120
LOCATION = "locations/__repository__@surgical_pipeline.definitions"
DESCRIPTIONS = {
    "gitlab_changes": "Looks every 10 s at what changed",
    "gitlab_webhooks": "Syncs the issues and merge requests that GitLab's hooks name",
    "mirror": "Keeps the ledger and Dagster in step",
}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventChain]:
    """With one event, and the run that settled it."""
    with (
        RunningSandbox(build_sample(issues=60)) as sandbox,
        event_chain(tmp_path_factory.mktemp("chain"), sandbox, hooks=True, polling=True) as running,
    ):
        sandbox.control.update_issue(12, title="Told by a hook")
        wait_until(lambda: run_of_the_event(running), limit_seconds=LIMIT_SECONDS, what="the event is done")
        yield running


def run_of_the_event(chain: EventChain) -> str:
    found = chain.rows("SELECT run_id FROM gitlab_events WHERE state = 'done' ORDER BY seq LIMIT 1")
    return str(found[0][0]) if found else ""


def url(chain: EventChain, path: str) -> str:
    assert chain.dev is not None
    return f"{chain.dev.url}/{path}"


def test_draft(page: Page, chain: EventChain, pictures: Path) -> None:
    page.goto(url(chain, "automation"))
    page.wait_for_timeout(4000)
    page.screenshot(path=pictures / "sensors.png")
    (pictures / "sensors.txt").write_text(page.inner_text("body"))
    for name in DESCRIPTIONS:
        page.goto(url(chain, f"{LOCATION}/sensors/{name}"))
        page.wait_for_timeout(6000)
        page.screenshot(path=pictures / f"sensor-{name}.png")
        (pictures / f"sensor-{name}.txt").write_text(page.inner_text("body"))
    page.goto(url(chain, f"runs/{run_of_the_event(chain)}"))
    page.wait_for_timeout(4000)
    page.screenshot(path=pictures / "run-of-a-hook.png")
    (pictures / "run.txt").write_text(page.inner_text("body"))
