"""What a person sees of the sensors: what each is for, what its ticks came to, and a run that a hook asked for."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from surgical_pipeline.sandbox.sample.build import build_sample
from surgical_pipeline.sandbox.server import RunningSandbox
from surgical_pipeline_tests.dagster_dev import wait_until
from surgical_pipeline_tests.event_chain import EventChain, event_chain

pytestmark = [pytest.mark.browser, pytest.mark.dagster_dev]

LIMIT_SECONDS = 120
LIMIT_MS = 30_000
LOCATION = "locations/__repository__@surgical_pipeline.definitions"
DESCRIPTIONS = {
    "gitlab_changes": "Looks every 30 s at what changed",
    "gitlab_webhooks": "Syncs the issues and merge requests that GitLab's hooks name",
    "mirror": "Keeps the ledger and Dagster in step",
}

TICKS = {
    "gitlab_changes": re.compile(r"^Skip reason: Nothing new in 1 watched entry[;.]"),
    "gitlab_webhooks": re.compile(
        r"^Skip reason: (No event waits|1 event waits for .*|There is no ledger yet, .*)\.$"
    ),
    "mirror": re.compile(
        r"^Skip reason: (The ledger and Dagster agree\.|[0-9a-f]{8} queued: Dagster says [A-Z_]+.*)$"
    ),
}
TAGS = {
    "surgical/trigger: webhook",
    "surgical/project: acme/rocket",
    "surgical/scope: acme/rocket#12",
    "surgical/events: 1 event, up to 1",
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


@pytest.mark.parametrize(("name", "description"), DESCRIPTIONS.items())
def test_the_page_of_a_sensor_says_what_it_is_for_and_what_its_ticks_came_to(
    page: Page, chain: EventChain, pictures: Path, *, name: str, description: str
) -> None:
    page.goto(url(chain, "automation"))
    expect(page.get_by_text(name, exact=True).first).to_be_visible()
    page.screenshot(path=pictures / "sensors.png")

    page.goto(url(chain, f"{LOCATION}/sensors/{name}"))
    expect(page.get_by_text(description)).to_be_visible()
    page.locator("button, a").filter(has_text=re.compile("^0 runs requested$")).first.click(timeout=LIMIT_MS)
    expect(page.get_by_text(TICKS[name]).first).to_be_visible()
    page.screenshot(path=pictures / f"sensor-{name}.png")


def test_a_run_that_a_hook_asked_for_says_what_it_is_about(page: Page, chain: EventChain, pictures: Path) -> None:
    page.goto(url(chain, f"runs/{run_of_the_event(chain)}"))
    expect(page.get_by_text("Launched by")).to_be_visible()
    page.get_by_role("button", name="View tags and config").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("surgical/scope").first).to_be_visible()
    page.screenshot(path=pictures / "tags-of-a-run-of-a-hook.png")
    shown = dialog.inner_text()
    for tag in TAGS:
        assert tag in shown
    assert not re.search(r"\.dagster|surgical/(ledger|host|pid|process)", shown)
