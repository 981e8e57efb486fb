"""The page as text: nothing in it acts, loads or hides, whatever others wrote; what is not known is said."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from surgical_pipeline.report.page import MAX_ENTITIES, render
from surgical_pipeline.report.values import Report
from surgical_pipeline_tests.unit.report.examples import (
    empty_report,
    outcome,
    period_report,
    run,
    run_report,
    stage,
)

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\" onmouseover=\"alert(3)' style='x ![](http://evil.test/i)"
    " [a](javascript:alert(4)) \x1b[2J\x07 \u202egnp.exe\u202c \u200b\u2028\r\n&lt;b&gt; {{ 7*7 }} </style></svg>"
)
LOADING = {"src", "srcset", "background", "poster", "data", "action", "formaction", "xlink:href", "ping"}


class Seen(HTMLParser):
    """What a browser would make of the page: its elements with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data


def seen(report: Report) -> Seen:
    parser = Seen()
    parser.feed(render(report))
    return parser


ATTACKED = [
    pytest.param(period_report(HOSTILE, project=f"acme/{HOSTILE}"), id="period"),
    pytest.param(run_report(outcome(12, failed=True, text=HOSTILE), text=HOSTILE), id="run"),
]


@pytest.mark.parametrize("report", ATTACKED)
def test_what_others_wrote_is_text_and_nothing_else(report: Report) -> None:
    page = seen(report)
    names = {name for name, _ in page.elements}
    assert not names & {"script", "img", "iframe", "object", "embed", "form", "base", "b"}
    attributes = {attribute for _, attributes in page.elements for attribute in attributes}
    assert not attributes & LOADING
    assert not [attribute for attribute in attributes if attribute.startswith("on") or attribute == "style"]
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in page.text
    assert "{{ 7*7 }}" in page.text


@pytest.mark.parametrize("report", ATTACKED)
def test_what_acts_or_hides_in_a_text_is_shown_as_an_escape(report: Report) -> None:
    page = render(report)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\u200b]", page)
    for escape in (r"\x1b[2J\x07", r"\u202egnp.exe\u202c", r"\u200b\u2028"):
        assert escape in page


@pytest.mark.parametrize("report", [*ATTACKED, pytest.param(empty_report(), id="empty")])
def test_nothing_leads_elsewhere_but_links_to_gitlab(report: Report) -> None:
    page = seen(report)
    links = {attributes.get("href") or "" for name, attributes in page.elements if name == "a"}
    assert all(link.startswith(("#", "https://gitlab.example.com/acme/rocket/-/")) for link in links), links
    assert {attributes["href"] for name, attributes in page.elements if name == "link"} == {"data:,"}
    style = re.search(r"<style>(.*?)</style>", render(report), re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


@pytest.mark.parametrize("report", [period_report(), run_report(outcome(1))])
def test_the_policy_lets_a_browser_load_nothing_and_apply_only_this_style(report: Report) -> None:
    page = render(report)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    policy = next(
        attributes["content"] or ""
        for name, attributes in seen(report).elements
        if name == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none';")
    assert f"style-src 'sha256-{b64encode(sha256(style[1].encode()).digest()).decode()}'" in policy
    assert "unsafe" not in policy


def test_a_chart_has_a_title_and_a_description_and_each_id_is_unique() -> None:
    page = seen(period_report())
    charts = [
        attributes for name, attributes in page.elements if name == "svg" and "aria-hidden" not in attributes
    ]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(charts) == 14
    assert len(ids) == len(set(ids))
    drawn = [attributes for name, attributes in page.elements if name in ("g", "path", "text", "rect", "line")]
    assert drawn
    assert not [one for one in drawn if "role" in one or "aria-label" in one]
    for chart in charts:
        assert chart["role"] == "img"
        assert set((chart["aria-labelledby"] or "").split()) <= set(ids)


def test_every_table_has_a_caption_and_every_header_a_scope() -> None:
    page = seen(period_report())
    names = [name for name, _ in page.elements]
    assert names.count("table") == names.count("caption") > 8
    assert all("scope" in attributes for name, attributes in page.elements if name == "th")


def test_what_is_not_known_is_said_and_no_figure_takes_its_place() -> None:
    page = seen(empty_report()).text
    for told in (
        "no run has ended",
        "Nothing was asked for in this period.",
        "No failure was recorded in this period.",
        "No run started in this period.",
        "Not known: no run of this period has ended.",
        "Not known: no embedder is configured where this page was made.",
        "Not known: nothing was asked for by hooks, polling or a queue in this period.",
    ):
        assert told in page
    assert "nan" not in page.lower().split()


def test_lists_say_how_much_they_leave_out() -> None:
    page = " ".join(seen(period_report()).text.split())
    assert "5 more runs are left out here." in page
    assert "2 more dead letters are left out here." in page


def test_a_run_shows_failures_first_and_says_how_many_entities_it_leaves_out() -> None:
    many = [outcome(iid) for iid in range(1, MAX_ENTITIES + 9)]
    page = " ".join(seen(run_report(*many, outcome(9999, failed=True))).text.split())
    assert page.index("acme/rocket#9999written") < page.index("acme/rocket#1written")
    assert "9 more entities are left out here" in page


@pytest.mark.parametrize("stages", [(), (stage(seconds=None),)])
def test_a_run_without_an_ended_stage_has_a_page_without_a_chart(stages: tuple[object, ...]) -> None:
    report = run_report(outcome(1), stages=stages, status="running", phase="preflight", seconds=None)
    page = seen(report)
    assert "svg" not in {name for name, _ in page.elements}
    assert "not ended" in page.text


def test_advice_shows_commands_as_code() -> None:
    assert "<code>surgical-pipeline doctor</code>" in render(period_report())


def test_values_survive_json() -> None:
    report = period_report()
    assert type(report).model_validate_json(report.model_dump_json()) == report
    assert report.model_dump()["newest_runs"]["left_out"] == 5
    assert run().stages
