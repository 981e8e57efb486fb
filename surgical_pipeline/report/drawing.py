"""Three kinds of charts as SVG, each drawn once for wide screens and once for phones: text must not shrink.

Only our own words may be drawn, never text of others.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup, escape

from surgical_pipeline.report.palette import BLUE, GREY, GRID, INK, MUTED, PAPER

WIDE, NARROW = 928, 336
"""Width of a chart with its axes, in CSS pixels: what the page has on a large screen and on a phone."""
_LONG_SECONDS = 2 * 86_400
"""A longer axis of time names days instead of hours."""
_Draw = Callable[[int], Any]
"""The chart of that width."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a chart says beside its picture. ``name``: unique on the page; ``told``: what it shows, in words."""

    name: str
    title: str
    told: str


@dataclass(frozen=True, slots=True)
class Figure:
    """``wide`` and ``narrow``: the same chart. ``legend``: colours by what they mean, for the page to show."""

    words: Words
    legend: Mapping[str, str]
    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True)
class Bar:
    """``kind``: what its colour means."""

    start: datetime
    end: datetime
    low: int
    high: int
    kind: str


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a row of a timeline, in seconds. ``held``: until when a line below it goes."""

    row: str
    kind: str
    start: float
    end: float
    held: float


def bars_over_time(
    words: Words, bars: Sequence[Bar], *, between: tuple[datetime, datetime], legend: Mapping[str, str]
) -> Figure:
    """Counts over time; bars that stand on each other follow each other."""
    first, last = between
    time_format = "%d %b" if (last - first).total_seconds() > _LONG_SECONDS else "%H:%M"
    rows = [
        {"start": _millis(bar.start), "end": _millis(bar.end), "low": bar.low, "high": bar.high, "kind": bar.kind}
        for bar in bars
    ]

    def draw(width: int) -> Any:
        axis = alt.Axis(format=time_format, tickCount=width // 90, grid=False, labelOverlap="greedy")
        scale = alt.Scale(type="utc", domain=[_millis(first), _millis(last)])
        x = alt.X("start:T", title=None, scale=scale, axis=axis)
        y = alt.Y("low:Q", title=None, axis=alt.Axis(tickCount=4, tickMinStep=1))
        shown = _of(rows).mark_rect(stroke=PAPER, strokeWidth=0.5)
        shown = shown.encode(x=x, x2="end:T", y=y, y2="high:Q", color=_color(legend))
        return shown.properties(height=180 if width == WIDE else 150)

    return _figure(words, draw, legend=legend)


def timeline(words: Words, spans: Sequence[Span], *, legend: Mapping[str, str]) -> Figure:
    """Rows of spans from a common start, in the order in which they come."""
    order = list(dict.fromkeys(span.row for span in spans))
    rows = [
        {"row": span.row, "start": span.start, "end": span.end, "held": span.held, "kind": span.kind}
        for span in spans
    ]

    def draw(width: int) -> Any:
        y = alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=140, ticks=False, domain=False))
        x = alt.X("start:Q", title="seconds from the start", axis=alt.Axis(tickCount=width // 80))
        base = _of(rows)
        colored = base.mark_bar(size=12, stroke=PAPER, strokeWidth=1)
        colored = colored.encode(y=y, x=x, x2="end:Q", color=_color(legend))
        held = base.mark_bar(size=3, yOffset=9, color=INK).encode(y=y, x=x, x2="held:Q")
        return (colored + held).properties(height=alt.Step(28))

    return _figure(words, draw, legend=legend)


def ranking(words: Words, amounts: Mapping[str, float]) -> Figure:
    """A bar for each name, in the order in which they come, with its amount beside it."""
    rows = [{"name": name, "amount": amount} for name, amount in amounts.items()]

    def draw(width: int) -> Any:
        y = alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=180, ticks=False, domain=False))
        x = alt.X("amount:Q", title=None, axis=alt.Axis(tickCount=width // 90))
        base = _of(rows).encode(y=y, x=x)
        labels = base.mark_text(align="left", dx=4, color=INK).encode(text=alt.Text("amount:Q", format=",.0f"))
        return (base.mark_bar(size=14, color=BLUE) + labels).properties(height=alt.Step(24))

    return _figure(words, draw, legend={})


def _figure(words: Words, draw: _Draw, *, legend: Mapping[str, str]) -> Figure:
    wide, narrow = (_svg(draw(width), words, width=width) for width in (WIDE, NARROW))
    return Figure(words, legend, wide, narrow)


def _of(rows: Sequence[Mapping[str, Any]]) -> Any:
    return alt.Chart({"values": list(rows)})


def _color(legend: Mapping[str, str]) -> alt.Color:
    """Without a legend in the picture, where it does not wrap."""
    scale = alt.Scale(domain=list(legend), range=list(legend.values()))
    return alt.Color("kind:N", scale=scale, legend=None)


def _millis(at: datetime) -> int:
    return round(at.timestamp() * 1000)


_STYLE = {
    "background": "transparent",
    "autosize": {"type": "fit-x", "contains": "padding"},
    "padding": {"left": 10, "right": 10, "top": 4, "bottom": 4},  # the browser's font may be wider
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
    "text": {"fontSize": 12},
}
_ROOT = re.compile(r"<svg\b[^>]*>")
_ROLES = re.compile(r'\s(?:role|aria-[a-z]+)="[^"]*"')
_SIZE = re.compile(r'\b(width|height|viewBox)="([^"]*)"')


def _svg(chart: Any, words: Words, *, width: int) -> Markup:
    """The chart with a title and a description in it, as large as it was drawn."""
    drawn = vl_convert.vegalite_to_svg(
        {**chart.properties(width=width).to_dict(), "config": _STYLE}, allowed_base_urls=[]
    )
    root = _ROOT.search(drawn)
    if root is None:
        raise AssertionError("vl-convert drew no SVG")
    size = " ".join(f'{name}="{value}"' for name, value in _SIZE.findall(root[0]))
    label = f"{words.name}-{width}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{label}-t {label}-d" {size}>'
        f'<title id="{label}-t">{escape(words.title)}</title><desc id="{label}-d">{escape(words.told)}</desc>'
    )
    # One picture with a title and a description: no screen reader has to go through hundreds of bars.
    return Markup(head + _ROLES.sub("", drawn[root.end() :]))  # noqa: S704  drawn by the library, from our own words
