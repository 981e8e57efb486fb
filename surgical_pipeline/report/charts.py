"""The charts of a report as SVG, drawn once for wide screens and once for phones: text must not shrink.

Only our own words are drawn, never text of others. A chart tells nothing that the tables beside it do not.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup, escape

from surgical_pipeline.report.palette import (
    BLUE,
    GREY,
    GRID,
    INK,
    MUTED,
    OF_STAGE,
    OF_STATUS,
    PAPER,
    RED,
    TEAL,
    VIOLET,
)
from surgical_pipeline.report.values import PeriodReport, Run, Slot
from surgical_pipeline.report.words import moment, seconds_in_words, status_word

WIDE, NARROW = 760, 340
"""Width of a chart with its axes, in CSS pixels; a phone of 360 has 344 for it."""
_MAX_BARS_OF_RUNS = 15
_DAYS = 2 * 86_400
_Drawing = Callable[[int], alt.TopLevelMixin]


@dataclass(frozen=True, slots=True)
class Figure:
    """``wide`` and ``narrow``: the same chart; ``told``: what it shows, in words."""

    name: str
    title: str
    told: str
    wide: Markup
    narrow: Markup


def figure(name: str, title: str, told: str, draw: _Drawing) -> Figure:
    drawn = {width: _svg(draw(width), label=f"{name}-{width}", title=title, told=told) for width in (WIDE, NARROW)}
    return Figure(name, title, told, drawn[WIDE], drawn[NARROW])


def runs_over_time(report: PeriodReport) -> Figure:
    told = ", ".join(f"{count:,} {status_word(status)}" for status, count in report.runs_by_status.items())
    return _amounts(
        "runs-over-time",
        f"Runs by {_slot_word(report)}",
        f"{told}.",
        report=report,
        parts={
            status_word(status): (color, lambda slot, status=status: slot.runs.get(status, 0))
            for status, color in OF_STATUS.items()
        },
    )


def entities_over_time(report: PeriodReport) -> Figure:
    asked = sum(slot.entities for slot in report.slots)
    return _amounts(
        "entities-over-time",
        f"Entities asked for by {_slot_word(report)}",
        f"{asked:,} in all; an entity counts once for each run that it was asked for in.",
        report=report,
        parts={"entities": (BLUE, lambda slot: slot.entities)},
    )


def requests_over_time(report: PeriodReport) -> Figure:
    return _amounts(
        "requests-over-time",
        f"Requests to GitLab by {_slot_word(report)}",
        f"{report.http.requests:,} in all, of which GitLab answered {report.http.rate_limited:,} with 429. "
        "A run's requests count in the moment of its start.",
        report=report,
        parts={
            "answered otherwise": (TEAL, lambda slot: slot.requests - slot.rate_limited),
            "429, too many": (RED, lambda slot: slot.rate_limited),
        },
    )


def written_over_time(report: PeriodReport) -> Figure:
    documents, vectors = (sum(getattr(slot, name) for slot in report.slots) for name in ("documents", "embedded"))
    return _amounts(
        "written-over-time",
        f"Documents written by {_slot_word(report)}",
        f"{documents:,} documents whose text changed, {vectors:,} documents that got new vectors.",
        report=report,
        parts={
            "with new vectors": (VIOLET, lambda slot: min(slot.embedded, slot.documents)),
            "without": (GREY, lambda slot: max(0, slot.documents - slot.embedded)),
        },
    )


def _amounts(
    name: str,
    title: str,
    told: str,
    *,
    report: PeriodReport,
    parts: Mapping[str, tuple[str, Callable[[Slot], int]]],
) -> Figure:
    """Bars of counts of each slot, stacked."""
    present = {kind: part for kind, part in parts.items() if any(part[1](slot) for slot in report.slots)}
    bars = [
        bar
        for slot in report.slots
        for bar in _stacked(slot, {kind: count(slot) for kind, (_, count) in present.items()}, report)
    ]
    colors = {kind: color for kind, (color, _) in present.items()}
    return figure(name, title, told, lambda width: _over_time(bars, report, width=width, colors=colors))


def newest_runs(report: PeriodReport) -> Figure | None:
    """The stages of each run from its start, and how much of each stage it had the lock; None: no run has any."""
    ended = [run for run in report.newest_runs.items if any(stage.seconds is not None for stage in run.stages)]
    shown = ended[:_MAX_BARS_OF_RUNS]
    if not shown:
        return None
    return _stage_chart(
        "newest-runs",
        f"Stages of the newest {len(shown)} runs",
        "Each bar is a run from its start, the newest on top; the colours are its stages. The thin line below a "
        "stage shows how much of it the run held the ledger's lock, all windows together.",
        rows=[(f"{moment(run.at, seconds=True)[5:]} {run.run_id[:8]}", run) for run in shown],
    )


def stages_of_run(run: Run) -> Figure | None:
    """None: no stage of it has ended."""
    if all(stage.seconds is None for stage in run.stages):
        return None
    told = "; ".join(
        f"{one.stage} {seconds_in_words(one.seconds)}, lock held {one.lock_held_ms:,.0f} ms in "
        f"{one.lock_windows:,} windows"
        for one in run.stages
    )
    return _stage_chart(
        "stages",
        "Stages from the run's start",
        f"{told}. The thin line below a stage shows how much of it the run held the ledger's lock, all windows "
        "together; when each single window was is not recorded.",
        rows=[(one.stage, run.model_copy(update={"stages": (one,)})) for one in run.stages],
    )


def failures_by_code(report: PeriodReport) -> Figure | None:
    """None: no entity failed."""
    rows = [{"code": str(one.code), "failures": one.failures} for one in report.failures if one.failures]
    if not rows:
        return None
    told = ", ".join(f"{row['code']} {row['failures']:,}" for row in rows)
    title = "Failures of entities by code"
    return _ranked("failures-by-code", title, f"{told}.", rows=rows, of="failures", by="code")


def time_by_stage(report: PeriodReport) -> Figure:
    rows = [{"stage": one.stage, "seconds": one.seconds or 0.0} for one in report.stages]
    told = ", ".join(f"{one.stage} {seconds_in_words(one.seconds)}" for one in report.stages)
    title = "Seconds of all runs by stage"
    return _ranked("time-by-stage", title, f"{told}.", rows=rows, of="seconds", by="stage")


def _stage_chart(name: str, title: str, told: str, *, rows: Sequence[tuple[str, Run]]) -> Figure:
    parts = [part for label, run in rows for part in _parts(label, run)]
    present = {stage: color for stage, color in OF_STAGE.items() if any(part["stage"] == stage for part in parts)}
    order = [label for label, _ in rows]

    def draw(width: int) -> alt.TopLevelMixin:
        y = alt.Y("run:N", sort=order, title=None, axis=alt.Axis(labelLimit=width // 3, ticks=False, domain=False))
        x = alt.X("start:Q", title="seconds from the start", axis=alt.Axis(tickCount=5))
        base = alt.Chart(alt.Data(values=parts))
        stages = base.mark_bar(size=12, stroke=PAPER, strokeWidth=1).encode(
            y=y, x=x, x2="end:Q", color=_color("stage", present, width=width)
        )
        held = base.mark_bar(size=3, yOffset=9, color=INK).encode(y=y, x=x, x2="held:Q")
        return (stages + held).properties(width=_inner(width, left=width // 3), height=alt.Step(28))

    return figure(name, title, told, draw)


def _parts(label: str, run: Run) -> Iterator[dict[str, Any]]:
    for stage in run.stages:
        if stage.started_at is None or stage.seconds is None:
            continue
        start = (stage.started_at - run.at).total_seconds()
        held = min(stage.seconds, stage.lock_held_ms / 1000)
        yield {
            "run": label,
            "stage": stage.stage,
            "start": start,
            "end": start + stage.seconds,
            "held": start + held,
        }


def _ranked(name: str, title: str, told: str, *, rows: Sequence[dict[str, Any]], of: str, by: str) -> Figure:
    def draw(width: int) -> alt.TopLevelMixin:
        axis = alt.Axis(labelLimit=width // 2, ticks=False, domain=False)
        base = alt.Chart(alt.Data(values=list(rows))).encode(
            y=alt.Y(f"{by}:N", sort=None, title=None, axis=axis),
            x=alt.X(f"{of}:Q", title=None, axis=alt.Axis(tickCount=4)),
        )
        labels = base.mark_text(align="left", dx=4, color=INK).encode(text=alt.Text(f"{of}:Q", format=",.0f"))
        return (base.mark_bar(size=14, color=BLUE) + labels).properties(
            width=_inner(width, left=width // 3 + 10), height=alt.Step(24)
        )

    return figure(name, title, told, draw)


def _over_time(
    bars: Sequence[dict[str, Any]], report: PeriodReport, *, width: int, colors: Mapping[str, str]
) -> alt.Chart:
    first, last = report.slots[0].start, report.slots[-1].start + timedelta(seconds=report.slot_seconds)
    x = alt.X(
        "start:T",
        title=None,
        scale=alt.Scale(type="utc", domain=[_millis(first), _millis(last)]),
        axis=alt.Axis(
            format="%d %b" if (last - first).total_seconds() > _DAYS else "%H:%M",
            tickCount=width // 90,
            grid=False,
            labelOverlap="greedy",
        ),
    )
    y = alt.Y("low:Q", title=None, axis=alt.Axis(tickCount=4, tickMinStep=1))
    return (
        alt.Chart(alt.Data(values=list(bars)))
        .mark_rect(stroke=PAPER, strokeWidth=0.5)
        .encode(x=x, x2="end:T", y=y, y2="high:Q", color=_color("kind", colors, width=width))
        .properties(width=_inner(width, left=50), height=180 if width == WIDE else 150)
    )


def _stacked(slot: Slot, counts: Mapping[str, int], report: PeriodReport) -> Iterator[dict[str, Any]]:
    low, start = 0, _millis(slot.start)
    for kind, count in counts.items():
        if count:
            end = start + report.slot_seconds * 1000
            yield {"start": start, "end": end, "low": low, "high": low + count, "kind": kind}
            low += count


def _millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _color(field: str, colors: Mapping[str, str], *, width: int) -> alt.Color:
    """With a legend, but if there is only one colour."""
    legend = alt.Legend(
        title=None, orient="top", columns=6 if width == WIDE else 3, symbolType="square", symbolStrokeWidth=0
    )
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=legend if len(colors) > 1 else None)


def _inner(width: int, *, left: int) -> int:
    return width - left - 20


def _slot_word(report: PeriodReport) -> str:
    words = {60: "the minute", 3600: "the hour", 86_400: "the day", 604_800: "the week"}
    return words.get(report.slot_seconds) or seconds_in_words(report.slot_seconds)


_STYLE = {
    "background": "transparent",
    "aria": False,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "gridColor": GRID,
        "domainColor": GREY,
        "tickColor": GREY,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {"labelColor": INK, "labelFontSize": 12, "labelLimit": 200},
    "text": {"fontSize": 12},
}
_ROOT = re.compile(r"<svg\b[^>]*>")
_SIZE = re.compile(r'\b(width|height|viewBox)="([^"]*)"')


def _svg(chart: alt.TopLevelMixin, *, label: str, title: str, told: str) -> Markup:
    """The chart with a title and a description in it, as large as it was drawn."""
    spec = chart.to_dict()
    spec["config"] = _STYLE
    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    sizes = dict(_SIZE.findall(_ROOT.search(svg)[0]))  # type: ignore[index]  # vl-convert's SVG has a root
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{label}-t {label}-d" '
        f'width="{sizes["width"]}" height="{sizes["height"]}" viewBox="{sizes["viewBox"]}">'
        f'<title id="{label}-t">{escape(title)}</title><desc id="{label}-d">{escape(told)}</desc>'
    )
    return Markup(_ROOT.sub(lambda _: root, svg, count=1))  # noqa: S704  drawn by the library from our own words
