"""The page of `report` as people see it: on a large screen and on a phone, in the light, in the dark and in print.

`SURGICAL_SCREENSHOTS=docs/images` keeps the pictures that docs/report.md shows.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from surgical_pipeline.domain.lifecycle import RunStatus
from surgical_pipeline.ledger.duckdb.windows import DuckDBLedger
from surgical_pipeline.ledger.runs import list_runs
from surgical_pipeline.report.making import make_period_report, make_run_report
from surgical_pipeline.report.page import render
from surgical_pipeline.report.reading import LedgerFacts
from surgical_pipeline.report.writing import write_page
from surgical_pipeline_tests.report_ledger import MODEL, fill

pytestmark = pytest.mark.browser

HOSTILE = " <script>document.title='taken'</script><img src=http://evil.test/x> \u202eevil ![](http://evil.test/y)"
WIDE, PHONE = {"width": 1100, "height": 900}, {"width": 360, "height": 740}
FRIDAY = datetime(2026, 5, 8, 16, 20, tzinfo=UTC)
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report on a week and one on a run, and the same of a ledger full of hostile texts."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {}
    for name, message in (("", ""), ("hostile-", HOSTILE)):
        ledger = DuckDBLedger(folder / f"{name}ledger.duckdb", clock=lambda: FRIDAY)
        fill(ledger, runs=400, until=FRIDAY, message=message)
        facts = LedgerFacts(
            "/srv/surgical/ledger.duckdb",
            gitlab_url="https://gitlab.example.com",
            model=MODEL,
            file_bytes=48_200_000,
        )
        week = make_period_report(ledger, timedelta(days=7), facts=facts)
        with ledger.read() as tx:
            (warned,) = list_runs(tx, limit=1, status=RunStatus.SUCCEEDED_WITH_WARNINGS)
        of_run = make_run_report(ledger, warned.run_id, gitlab_url=facts.gitlab_url)
        assert of_run is not None
        for kind, report in (("week", week), ("run", of_run)):
            pages[name + kind] = folder / f"{name}{kind}.html"
            write_page(pages[name + kind], render(report))
    return pages


@pytest.fixture
def requested(page: Page) -> Iterator[list[str]]:
    """Addresses that the page asks for."""
    found: list[str] = []

    def note(request: object) -> None:
        found.append(getattr(request, "url", ""))

    page.on("request", note)
    yield found
    page.remove_listener("request", note)


def opened(page: Page, path: Path, *, scheme: Scheme = "light", viewport: dict[str, int] = WIDE) -> None:
    page.emulate_media(color_scheme=scheme, media="screen")
    page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
    page.goto(path.as_uri())


@pytest.mark.parametrize("name", ["week", "run"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_no_barrier(
    page: Page, pages: dict[str, Path], *, name: str, scheme: Scheme, viewport: dict[str, int]
) -> None:
    opened(page, pages[name], scheme=scheme, viewport=viewport)
    for details in page.locator("details").all():
        details.evaluate("one => { one.open = true }")
    found = Axe().run(page).response
    assert [(one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found["violations"]] == []
    assert {"color-contrast", "svg-img-alt", "region", "td-headers-attr"} & {one["id"] for one in found["passes"]}


@pytest.mark.parametrize("name", ["week", "run"])
def test_on_a_phone_nothing_is_cut_off_and_text_is_large_enough(
    page: Page, pages: dict[str, Path], name: str
) -> None:
    opened(page, pages[name], viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    overflowing = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth + 1)"
        ".map(one => one.textContent.trim().slice(0, 60))"
    )
    assert overflowing == []
    sizes = page.evaluate(
        "[...document.querySelectorAll('.narrow svg text')].map(one => one.getBoundingClientRect())"
        ".map(box => [Math.round(box.height), Math.round(box.left), Math.round(box.right)])"
    )
    assert sizes
    assert all(height >= 11 and left >= 0 and right <= PHONE["width"] for height, left, right in sizes)
    expect(page.locator(".wide").first).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_take_the_colours_of_the_scheme(page: Page, pages: dict[str, Path], scheme: Scheme) -> None:
    opened(page, pages["week"], scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    label = page.evaluate("getComputedStyle(document.querySelector('.wide svg text')).fill")
    bar = page.evaluate("getComputedStyle(document.querySelector('.wide svg [fill=\"#1f7a4d\"]')).fill")
    assert (background, label, bar) == {
        "light": ("rgb(255, 255, 255)", "rgb(86, 93, 104)", "rgb(31, 122, 77)"),
        "dark": ("rgb(21, 24, 29)", "rgb(166, 174, 187)", "rgb(70, 184, 129)"),
    }[scheme]


def test_in_print_it_is_black_on_white_and_complete(page: Page, pages: dict[str, Path], tmp_path: Path) -> None:
    opened(page, pages["week"], scheme="dark", viewport=PHONE)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('.wide svg text')).fill") == "rgb(86, 93, 104)"
    expect(page.get_by_role("navigation")).to_be_hidden()
    expect(page.locator(".wide").first).to_be_visible()
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 50_000


def test_a_screen_reader_gets_landmarks_charts_with_names_and_tables_with_headers(
    page: Page, pages: dict[str, Path]
) -> None:
    opened(page, pages["week"], viewport=PHONE)
    for role in ("banner", "navigation", "main", "contentinfo"):
        expect(page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("img", name="Runs per 6 hours")).to_be_visible()
    table = page.get_by_role("table", name="Entities by project")
    expect(table.get_by_role("columnheader", name="synced")).to_have_count(1)
    expect(table.get_by_role("rowheader", name="acme/rocket")).to_have_count(1)


@pytest.mark.parametrize("name", ["hostile-week", "hostile-run"])
def test_what_others_wrote_is_seen_and_neither_runs_nor_loads(
    page: Page, pages: dict[str, Path], requested: list[str], name: str
) -> None:
    opened(page, pages[name])
    assert requested == [pages[name].as_uri()]
    assert "taken" not in page.title()
    shown = page.inner_text("body")
    assert "<script>document.title='taken'</script>" in shown
    assert r"\u202eevil" in shown


@pytest.mark.parametrize(
    ("name", "scheme", "viewport", "picture"),
    [
        ("week", "light", WIDE, "report"),
        ("week", "dark", PHONE, "report-phone"),
    ],
)
def test_pictures(
    page: Page,
    pages: dict[str, Path],
    pictures: Path,
    *,
    name: str,
    scheme: Scheme,
    viewport: dict[str, int],
    picture: str,
) -> None:
    """What the page looks like at its beginning, and on the phone at its charts."""
    opened(page, pages[name], scheme=scheme, viewport=viewport)
    if viewport is PHONE:
        page.locator("#runs").evaluate("one => one.scrollIntoView()")
    page.screenshot(path=pictures / f"{picture}.png")
    assert (pictures / f"{picture}.png").stat().st_size > 10_000
