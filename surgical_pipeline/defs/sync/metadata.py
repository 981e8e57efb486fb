"""A finished run as Dagster shows it: the outcome table, counters that plot over time, lock and HTTP figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dagster as dg

from surgical_pipeline.defs.gateways import RunGateways
from surgical_pipeline.domain.foreign_text import in_markdown
from surgical_pipeline.domain.lifecycle import Phase
from surgical_pipeline.domain.outcomes import EntityReport, FailureReport, SyncResult
from surgical_pipeline.domain.scope import EntityKey
from surgical_pipeline.domain.web_address import address_of
from surgical_pipeline.ledger.belonging import load_belonging
from surgical_pipeline.ledger.row_counts import count_rows
from surgical_pipeline.ledger.runs import load_result

OUTCOME_TABLE = "entities"
MAX_TABLE_ROWS = 200
"""A longer table is of no use and bloats Dagster's event log; failures come first."""


_TROUBLES, _NUMBERS = "failures and warnings", ("docs", "embedded")
_COLUMNS = ("entity", "row", "dependents", _TROUBLES, *_NUMBERS)


@dataclass(frozen=True, slots=True)
class LedgerSays:
    """What the ledger says about a run, so that Dagster says the same.

    ``gitlab_url``: where people see its GitLab. ``row_counts``: rows by table, as `count_rows` counts them.
    """

    result: SyncResult | None
    gitlab_url: str | None
    row_counts: Mapping[str, int]


def ledger_says(gateways: RunGateways, *, count: Iterable[Phase] = ()) -> LedgerSays:
    """About this run, in one window. ``count``: stages whose tables' rows are wanted."""
    with gateways.ledger.read("report") as tx:
        return LedgerSays(
            load_result(tx, gateways.run.run_id), load_belonging(tx).gitlab_url, row_counts=count_rows(tx, count)
        )


def result_metadata(result: SyncResult, gitlab_url: str | None = None) -> dict[str, dg.MetadataValue]:
    """``gitlab_url``: where the entities' links lead; None: there are none."""
    counters = {name: dg.MetadataValue.int(value) for name, value in result.counters.model_dump().items()}
    return {
        "outcome": dg.MetadataValue.text(result.completion_status),
        OUTCOME_TABLE: dg.MetadataValue.md(outcome_table(result.entity_outcomes, gitlab_url)),
        **counters,
        "warnings": dg.MetadataValue.int(result.warnings_count),
        "lock_windows": dg.MetadataValue.int(result.lock.windows),
        "lock_wait_ms": dg.MetadataValue.float(round(result.lock.wait_ms, 1)),
        "lock_held_ms": dg.MetadataValue.float(round(result.lock.held_ms, 1)),
        **_time(result),
        "http_requests": dg.MetadataValue.int(result.http.requests),
        "http_retries": dg.MetadataValue.int(result.http.retries),
    }


def _time(result: SyncResult) -> dict[str, dg.MetadataValue]:
    """Nothing if the run has no end."""
    if result.duration_ms is None:
        return {}
    share = result.lock.held_ms / max(result.duration_ms, 1)
    return {
        "seconds": dg.MetadataValue.float(round(result.duration_ms / 1000, 3)),
        "lock_share": dg.MetadataValue.float(round(share, 4)),
    }


def outcome_table(outcomes: Iterable[EntityReport], gitlab_url: str | None = None) -> str:
    """One Markdown row per entity, those with failures or warnings first, at most ``MAX_TABLE_ROWS``.

    Dagster's page cuts a wide table off at the right: the most important columns are on the left, and the column
    for failures is there only if there are any.
    """
    rows = sorted(outcomes, key=lambda one: not _troubled(one))
    columns = [name for name in _COLUMNS if name != _TROUBLES or any(map(_troubled, rows))]
    lines = [
        _line(columns),
        _line(["---:" if name in _NUMBERS else "---" for name in columns]),
        *(_line([_row(one, gitlab_url)[name] for name in columns]) for one in rows[:MAX_TABLE_ROWS]),
    ]
    if len(rows) > MAX_TABLE_ROWS:
        lines.append(_line([f"and {len(rows) - MAX_TABLE_ROWS} more", *[""] * (len(columns) - 1)]))
    return "\n".join([*lines, *_advice(rows)])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _troubled(one: EntityReport) -> bool:
    return bool(one.failure or one.dependent_failures or one.warnings)


def _advice(rows: Iterable[EntityReport]) -> list[str]:
    """What to do about each kind of failure, once."""
    found = {failure.code: failure.hint for one in rows for failure in _failures(one)}
    advice = [f"- {code}: {in_markdown(hint)}" for code, hint in sorted(found.items())]
    return ["", "What to do:", "", *advice] if advice else []


def _failures(one: EntityReport) -> list[FailureReport]:
    return [*([one.failure] if one.failure else []), *one.dependent_failures]


def _row(one: EntityReport, gitlab_url: str | None) -> dict[str, str]:
    told = [f"{failure.code}: {in_markdown(failure.message)}" for failure in _failures(one)]
    text = "; ".join([*told, *(f"warning: {in_markdown(warning.message)}" for warning in one.warnings)])
    cells = (
        _linked(one, gitlab_url),
        one.row_word,
        one.dependents_word,
        text,
        str(len(one.regenerated_document_ids)),
        str(len(one.embedded_document_ids)),
    )
    return dict(zip(_COLUMNS, cells, strict=True))


def _linked(one: EntityReport, gitlab_url: str | None) -> str:
    """Its name; if the address is known, a link. An address of ours has no sign that ends the link."""
    name = in_markdown(one.entity)
    project = one.entity[: -len(f"{one.entity_type.sigil}{one.iid}")]
    address = address_of(gitlab_url, project, EntityKey(one.entity_type, one.iid)) if gitlab_url else None
    return f"[{name}]({address})" if address else name
