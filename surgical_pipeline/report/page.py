"""A report as one HTML page that needs nothing else: no script, no font, no request.

Every text goes through Jinja's escaping and before that through ``domain.foreign_text``: what GitLab's users wrote
can neither act nor hide. The page's policy lets a browser load nothing, even if both failed.
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from surgical_pipeline.domain.foreign_text import on_one_line
from surgical_pipeline.domain.outcomes import EntityReport
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.domain.web_address import address_of
from surgical_pipeline.domain.words import counted, size_in_words
from surgical_pipeline.report import charts, palette, words
from surgical_pipeline.report.drawing import Figure
from surgical_pipeline.report.period import in_words
from surgical_pipeline.report.values import PeriodReport, Report, RunReport

MAX_ENTITIES = 300
"""Rows of the table of a run's entities; the page says how many it leaves out."""


def render(report: Report) -> str:
    """The whole page."""
    rules = {"dark_rules": palette.rules(dark=True), "print_rules": palette.rules(dark=False)}
    style = _environment().get_template("style.css").render({name: Markup(css) for name, css in rules.items()})  # noqa: S704
    shared = {"report": report, "style": Markup(style), "policy": _policy(style)}  # noqa: S704  our own file
    if isinstance(report, RunReport):
        return _environment().get_template("run.html").render(**shared, **_about_run(report))
    return _environment().get_template("period.html").render(**shared, **_about_period(report))


def _about_period(report: PeriodReport) -> dict[str, Any]:
    return {
        "length": in_words(report.until - report.since),
        "lag_words": words.LAGS,
        "figures": {name: draw(report) if report.runs else None for name, draw in _FIGURES.items()},
    }


_FIGURES: Mapping[str, Callable[[PeriodReport], Figure | None]] = {
    "runs": charts.runs_over_time,
    "newest": charts.newest_runs,
    "stages": charts.time_by_stage,
    "failures": charts.failures_by_code,
    "entities": charts.entities_over_time,
    "requests": charts.requests_over_time,
    "written": charts.written_over_time,
}


def _about_run(report: RunReport) -> dict[str, Any]:
    outcomes = sorted(report.result.entity_outcomes, key=_trouble)
    return {
        "figure": charts.stages_of_run(report.run),
        "outcomes": outcomes[:MAX_ENTITIES],
        "left_out": max(0, len(outcomes) - MAX_ENTITIES),
        "addresses": {one.entity: _address(one, report) for one in outcomes[:MAX_ENTITIES]},
    }


def _trouble(one: EntityReport) -> tuple[bool, bool, bool]:
    """Failed ones first, then those of which something failed, then those with warnings."""
    return (one.failure is None, not one.dependent_failures, not one.warnings)


def _address(one: EntityReport, report: RunReport) -> str | None:
    if report.gitlab_url is None:
        return None
    return address_of(report.gitlab_url, report.result.project.path, EntityKey(one.entity_type, one.iid))


def _policy(style: str) -> str:
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("surgical_pipeline.report"),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": words.moment,
        "seconds": words.seconds_in_words,
        "size": size_in_words,
        "status": words.status_word,
        "counted": counted,
        "number": lambda value: f"{value:,.0f}",
    }
    return environment


def _finalized(value: Any) -> Any:
    """Each text that a template writes: what acts or hides is shown as an escape; our own markup stays."""
    return on_one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
