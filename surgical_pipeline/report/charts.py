"""The charts of a report: which figures they show, and what they say of them in words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial

from surgical_pipeline.report.drawing import Bar, Figure, Span, Words, bars_over_time, ranking, timeline
from surgical_pipeline.report.palette import BLUE, GREY, OF_STAGE, OF_STATUS, RED, TEAL, VIOLET
from surgical_pipeline.report.period import in_words
from surgical_pipeline.report.values import PeriodReport, Run, Slot
from surgical_pipeline.report.words import seconds_in_words, status_word

_EACH = {60: "by minute", 3600: "by hour", 86_400: "by day", 604_800: "by week"}
_HELD = (
    "The thin line below a stage shows how much of it the run held the ledger's lock, all windows together; when "
    "each window was is not recorded."
)
_Part = tuple[str, Callable[[Slot], int]]
"""A colour, and how much of it a slot has."""


def runs_over_time(report: PeriodReport) -> Figure:
    counts = [(status, report.runs_by_status.get(status, 0)) for status in OF_STATUS]
    told = ", ".join(f"{count:,} {status_word(status)}" for status, count in counts if count)
    return _amounts(
        Words("runs-over-time", f"Runs {_each_slot(report)}", f"{told}."),
        report,
        parts={
            status_word(status): (color, partial(_runs_of, status=status)) for status, color in OF_STATUS.items()
        },
    )


def entities_over_time(report: PeriodReport) -> Figure:
    told = (
        f"{sum(slot.entities for slot in report.slots):,} in all; an entity counts once for each run that was "
        "asked for it."
    )
    words = Words("entities-over-time", f"Entities asked for {_each_slot(report)}", told)
    return _amounts(words, report, parts={"entities": (BLUE, lambda slot: slot.entities)})


def requests_over_time(report: PeriodReport) -> Figure:
    told = (
        f"{report.http.requests:,} in all, of which GitLab answered {report.http.rate_limited:,} with 429. All "
        "requests of a run are shown where it started."
    )
    return _amounts(
        Words("requests-over-time", f"Requests to GitLab {_each_slot(report)}", told),
        report,
        parts={
            "answered otherwise": (TEAL, lambda slot: slot.requests - slot.rate_limited),
            "429, too many": (RED, lambda slot: slot.rate_limited),
        },
    )


def written_over_time(report: PeriodReport) -> Figure:
    documents, vectors = (sum(getattr(slot, name) for slot in report.slots) for name in ("documents", "embedded"))
    told = f"{documents:,} documents whose text changed; {vectors:,} documents got new vectors."
    return _amounts(
        Words("written-over-time", f"Documents written {_each_slot(report)}", told),
        report,
        parts={
            "with new vectors": (VIOLET, lambda slot: min(slot.embedded, slot.documents)),
            "without": (GREY, lambda slot: max(0, slot.documents - slot.embedded)),
        },
    )


def newest_runs(report: PeriodReport) -> Figure | None:
    """The stages of each run from its start; None: no stage of any has ended."""
    spans = [
        span for run in report.newest_runs.items for span in _spans(run, row=f"{run.at:%d %H:%M} {run.run_id[:8]}")
    ]
    if not spans:
        return None
    told = f"Each row is a run, named by day, time and id, the newest on top; the colours are its stages. {_HELD}"
    return timeline(Words("newest-runs", "Stages of the newest runs", told), spans, legend=_stages_in(spans))


def stages_of_run(run: Run) -> Figure | None:
    """None: no stage of it has ended."""
    spans = list(_spans(run))
    if not spans:
        return None
    told = "; ".join(
        f"{one.stage} {seconds_in_words(one.seconds)}, lock held {seconds_in_words(one.lock_held_ms / 1000)}"
        for one in run.stages
    )
    words = Words("stages", "Stages from the run's start", f"{told}. {_HELD}")
    return timeline(words, spans, legend=_stages_in(spans))


def failures_by_code(report: PeriodReport) -> Figure | None:
    """None: no entity failed."""
    amounts = {str(one.code): one.failures for one in report.failures if one.failures}
    if not amounts:
        return None
    told = ", ".join(f"{code} {count:,}" for code, count in amounts.items())
    return ranking(Words("failures-by-code", "Failures of entities by code", f"{told}."), amounts)


def time_by_stage(report: PeriodReport) -> Figure:
    told = ", ".join(f"{one.stage} {seconds_in_words(one.seconds)}" for one in report.stages)
    words = Words("time-by-stage", "Seconds of all runs by stage", f"{told}.")
    return ranking(words, {one.stage: one.seconds or 0.0 for one in report.stages})


def _amounts(words: Words, report: PeriodReport, *, parts: Mapping[str, _Part]) -> Figure:
    """Stacked bars, a bar for each slot; parts that no slot has are left out."""
    present = {kind: part for kind, part in parts.items() if any(part[1](slot) for slot in report.slots)}
    length = timedelta(seconds=report.slot_seconds)
    bars = [bar for slot in report.slots for bar in _stacked(slot, present, length=length)]
    legend = {kind: color for kind, (color, _) in present.items()}
    between = report.slots[0].start, report.slots[-1].start + length
    return bars_over_time(words, bars, between=between, legend=legend)


def _stacked(slot: Slot, parts: Mapping[str, _Part], *, length: timedelta) -> Iterator[Bar]:
    low = 0
    for kind, (_, count_of) in parts.items():
        if count := count_of(slot):
            yield Bar(slot.start, slot.start + length, low, low + count, kind)
            low += count


def _runs_of(slot: Slot, *, status: str) -> int:
    return slot.runs.get(status, 0)


def _spans(run: Run, row: str | None = None) -> Iterator[Span]:
    """All in one row, or each in one of its own."""
    for stage in run.stages:
        if stage.started_at is None or stage.seconds is None:
            continue
        start = (stage.started_at - run.at).total_seconds()
        held = min(stage.seconds, stage.lock_held_ms / 1000)
        yield Span(row or stage.stage, stage.stage, start, start + stage.seconds, start + held)


def _stages_in(spans: Sequence[Span]) -> Mapping[str, str]:
    return {stage: color for stage, color in OF_STAGE.items() if any(span.kind == stage for span in spans)}


def _each_slot(report: PeriodReport) -> str:
    return _EACH.get(report.slot_seconds) or f"per {in_words(timedelta(seconds=report.slot_seconds))}"
