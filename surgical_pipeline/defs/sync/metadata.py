"""A finished run as Dagster shows it: the outcome table, counters that plot over time, lock and HTTP figures."""

from collections.abc import Iterable

import dagster as dg

from surgical_pipeline.defs.gateways import RunGateways
from surgical_pipeline.domain.foreign_text import in_markdown_cell
from surgical_pipeline.domain.outcomes import EntityReport, SyncResult
from surgical_pipeline.ledger.runs import load_result

OUTCOME_TABLE = "entities"
MAX_TABLE_ROWS = 200
"""A longer table is of no use and bloats Dagster's event log; failures come first."""


def run_metadata(gateways: RunGateways) -> dict[str, dg.MetadataValue]:
    """Read back what the ledger says about this run, so that Dagster and the ledger agree."""
    with gateways.ledger.read("report") as tx:
        result = load_result(tx, gateways.run.run_id)
    return {} if result is None else result_metadata(result)


def result_metadata(result: SyncResult) -> dict[str, dg.MetadataValue]:
    counters = {name: dg.MetadataValue.int(value) for name, value in result.counters.model_dump().items()}
    return {
        "outcome": dg.MetadataValue.text(result.completion_status),
        OUTCOME_TABLE: dg.MetadataValue.md(outcome_table(result.entity_outcomes)),
        **counters,
        "warnings": dg.MetadataValue.int(result.warnings_count),
        "lock_windows": dg.MetadataValue.int(result.lock.windows),
        "lock_wait_ms": dg.MetadataValue.float(result.lock.wait_ms),
        "lock_held_ms": dg.MetadataValue.float(result.lock.held_ms),
        "http_requests": dg.MetadataValue.int(result.http.requests),
        "http_retries": dg.MetadataValue.int(result.http.retries),
    }


def outcome_table(outcomes: Iterable[EntityReport]) -> str:
    """One Markdown row per entity, those with failures or warnings first, at most ``MAX_TABLE_ROWS``.

    Dagster's page cuts a wide table off at the right, so the most important columns are on the left.
    """
    rows = sorted(outcomes, key=lambda one: not (one.failure or one.dependent_failures or one.warnings))
    lines = [
        "| entity | row | dependents | failures and warnings | docs | embedded |",
        "|---|---|---|---|---:|---:|",
        *(_row(one) for one in rows[:MAX_TABLE_ROWS]),
    ]
    if len(rows) > MAX_TABLE_ROWS:
        lines.append(f"| and {len(rows) - MAX_TABLE_ROWS} more | | | | | |")
    return "\n".join(lines)


def _row(one: EntityReport) -> str:
    failures = [*([one.failure] if one.failure else []), *one.dependent_failures]
    told = [f"{failure.code}: {failure.message}" for failure in failures]
    text = "; ".join([*told, *(f"warning: {warning.message}" for warning in one.warnings)])
    cells = (
        in_markdown_cell(one.entity),
        one.row_word,
        one.dependents_word,
        in_markdown_cell(text),
        str(len(one.regenerated_document_ids)),
        str(len(one.embedded_document_ids)),
    )
    return f"| {' | '.join(cells)} |"
