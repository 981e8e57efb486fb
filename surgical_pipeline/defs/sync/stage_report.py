"""What a stage did, as Dagster shows it: figures of its assets, which plot over time, and lines of the log."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import dagster as dg

from surgical_pipeline.defs.gateways import RunGateways
from surgical_pipeline.domain.dependents import EVENT_DEPENDENTS, Dependent
from surgical_pipeline.domain.foreign_text import on_one_line
from surgical_pipeline.domain.lifecycle import STAGES, Phase
from surgical_pipeline.domain.outcomes import EntityOutcome, EntityReport, SyncResult
from surgical_pipeline.domain.scope import EntityType

MOST_LINES = 100
"""Failures that the log names; the outcome table and the ledger have them all."""

ROW_COUNT = "dagster/row_count"
"""What Dagster's catalog shows as the number of rows of a table."""

Figures = Mapping[str, int | float]
Outcome = EntityOutcome | EntityReport
"""During the run, and afterwards as the ledger has it."""

_KINDS = {"issues": EntityType.ISSUE, "merge_requests": EntityType.MERGE_REQUEST}


@contextmanager
def reported(context: dg.OpExecutionContext, gateways: RunGateways, phase: Phase) -> Iterator[None]:
    """Around a stage: if it comes to its end, its assets get their figures and the log a line.

    Not for embed: it ends the run, and what it tells comes from the ledger (`tell_failures`, `result_metadata`).
    """
    began, (held_ms, requests) = time.monotonic(), _used(gateways)
    yield
    if phase is Phase.EMBED:
        return
    seconds, (held_after, requests_after) = time.monotonic() - began, _used(gateways)
    cost = {
        "seconds": round(seconds, 3),
        "http_requests": requests_after - requests,
        "lock_held_ms": round(held_after - held_ms, 1),
        "lock_share": round((held_after - held_ms) / 1000 / max(seconds, 0.001), 4),
    }
    outcomes, counts = gateways.run.outcomes(), gateways.run.row_counts
    for output, figures in figures_of(phase, outcomes).items():
        context.add_output_metadata({**figures, **cost, **row_count(counts, output)}, output_name=output)
    context.log.info("%s: %s", phase, _sentence(phase, outcomes, cost))


def figures_by_output(outcomes: Sequence[Outcome]) -> dict[str, Figures]:
    """Those of all stages, of a run that is over."""
    return {output: figures for phase in STAGES for output, figures in figures_of(phase, outcomes).items()}


def row_count(counts: Mapping[str, int], table: str) -> Figures:
    """As Dagster's catalog wants it; nothing if the rows were not counted."""
    return {ROW_COUNT: counts[table]} if table in counts else {}


def _used(gateways: RunGateways) -> tuple[float, int]:
    return gateways.ledger.stats.held_ms, gateways.requests


def figures_of(phase: Phase, outcomes: Sequence[Outcome]) -> dict[str, Figures]:
    """By the output of the stage's op: how many issues, merge requests or documents came to what."""
    if phase is Phase.INGEST:
        return {
            output: _rows([one for one in outcomes if one.entity_type is kind]) for output, kind in _KINDS.items()
        }
    if phase is Phase.DEPENDENTS:
        return {
            "discussions": _dependents(outcomes, (Dependent.DISCUSSIONS,)),
            "resource_events": _dependents(outcomes, EVENT_DEPENDENTS),
        }
    if phase is Phase.DOCS:
        return {"documents": {"documents_regenerated": sum(len(one.regenerated_document_ids) for one in outcomes)}}
    return {}


def tell_failures(log: dg.DagsterLogManager, result: SyncResult) -> None:
    """A line for each failure and warning of the run, with what to do; the first ``MOST_LINES``."""
    told = [f"{one.entity}: {one.code}: {one.message} {one.hint}" for one in result.entity_failures]
    told += [f"{one.entity}: {warning.message}" for one in result.entity_outcomes for warning in one.warnings]
    for line in told[:MOST_LINES]:
        log.warning(on_one_line(line))
    if len(told) > MOST_LINES:
        log.warning("and %d more: `surgical-pipeline runs show %s`", len(told) - MOST_LINES, result.run_id)


def _rows(outcomes: Sequence[Outcome]) -> Figures:
    return {
        "requested": len(outcomes),
        "written": sum(one.ingested for one in outcomes),
        "already_newer": sum(one.stale_skipped for one in outcomes),
        "tombstoned": sum(one.tombstoned for one in outcomes),
        "unchanged": sum(one.unchanged for one in outcomes),
        "failed": sum(one.failure is not None for one in outcomes),
    }


def _dependents(outcomes: Sequence[Outcome], dependents: Iterable[Dependent]) -> Figures:
    names = {str(one) for one in dependents}
    fetched = [one for one in outcomes if _has_row(one) and not one.unchanged]
    return {
        "entities": len(fetched),
        "failed": sum(any(failure.dependent in names for failure in one.dependent_failures) for one in fetched),
        "already_newer": sum(bool(names.intersection(one.dependents_stale_skipped)) for one in fetched),
    }


def _has_row(outcome: Outcome) -> bool:
    return outcome.ingested or outcome.stale_skipped


def _sentence(phase: Phase, outcomes: Sequence[EntityOutcome], cost: Figures) -> str:
    failed = sum(bool(one.failure or one.dependent_failures) for one in outcomes)
    did = {
        Phase.PREFLIGHT: lambda: f"asked for {len(outcomes)} issues and merge requests",
        Phase.INGEST: lambda: f"{sum(one.ingested for one in outcomes)} of {len(outcomes)} rows written",
        Phase.DEPENDENTS: lambda: (
            f"those of {sum(_has_row(one) and not one.unchanged for one in outcomes)} asked for"
        ),
        Phase.DOCS: lambda: (
            f"{sum(len(one.regenerated_document_ids) for one in outcomes)} documents have a new text"
        ),
    }[phase]()
    so_far = f"; {failed} with failures so far" if failed else ""
    return (
        f"{did} in {cost['seconds']:.1f} s, {cost['http_requests']:,} requests, "
        f"the lock held for {cost['lock_held_ms']:.0f} ms{so_far}"
    )
